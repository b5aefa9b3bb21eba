#!/usr/bin/env bash
# The whole loop on the built-in spreadsheet tasks with the stand-in model, as a study: run, evolve, run again, compare, report.
# Cells that are already finished are reused. SCALE=served with VLLM_BASE_URL takes the stand-in that python -m trace2skill.simulation.server
# serves; use another RUNS with it.
set -euo pipefail
runs=${RUNS:-runs/quickstart}
study=(results/quickstart/study.yaml ${SCALE:+--scale "$SCALE"} --runs "$runs")

step() { printf '\n\033[1m%s\033[0m\n' "$*"; }
cell() { printf '%s\n' "$runs"/$1-????????; }

step "1/3  SIMULATED: the stand-in solves the evolve split, a skill is evolved from its logs, and it solves the test split with and without"
trace2skill study run "${study[@]}"

step "2/3  Did it help?"
trace2skill compare "no-skill=$(cell 'evaluate-*-no-skill')" --vs "xlsx-basic=$(cell 'evaluate-*-xlsx-basic')" --vs "evolved=$(cell 'evaluate-*-combined-42')"

step "3/3  The same as a report"
trace2skill study report "${study[@]}" --output "$runs/report"

evolved=$(cell 'evolve-*')/run
step "Look closer"
cat <<END
report   $runs/report/report.html
logs     .venv/bin/inspect view --log-dir $runs
ledger   $evolved/ledger.jsonl    the fate of every proposed edit
diff     .venv/bin/trace2skill skill diff skills/xlsx-basic $evolved
blame    .venv/bin/trace2skill skill blame $evolved
END
