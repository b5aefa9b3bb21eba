#!/usr/bin/env bash
# The whole loop on the built-in spreadsheet tasks with the stand-in model: run, evolve, run again, compare.
# Stages that are already finished are reused. SEED gives the stand-in another seed, MODEL=vllm/sim-small with VLLM_BASE_URL takes the one
# that python -m trace2skill.simulation.server serves; use another RUNS with either.
set -euo pipefail
runs=${RUNS:-runs/quickstart}
model=${MODEL:-sim/small}
if [ -t 1 ]; then display=rich; else display=plain; fi

step() { printf '\n\033[1m%s\033[0m\n' "$*"; }

rollout() { # name, split, further arguments
    local name=$1 split=$2
    shift 2
    inspect eval-set evals/spreadsheet.py --model $model -T dataset=sample -T split="$split" ${SEED:+-M "seed=$SEED"} "$@" \
        --tags SIMULATED --no-log-realtime --log-dir "$runs/$name" --display "$display"
}

step "1/4  SIMULATED: $model solves the evolve split with skills/xlsx-basic"
rollout evolve-split evolve -T skill=skills/xlsx-basic

step "2/4  SIMULATED: analysts read the logs, their edits are merged into one skill"
trace2skill evolve "$runs/evolve-split" --skill skills/xlsx-basic --analysts combined --output "$runs/evolution" --display "$display"

step "3/4  SIMULATED: $model solves the test split without a skill, with the initial and with the evolved skill"
rollout no-skill test
rollout xlsx-basic test -T skill=skills/xlsx-basic
rollout evolved test -T skill="$runs/evolution"

step "4/4  Did it help?"
trace2skill compare "$runs/no-skill" --vs "$runs/xlsx-basic" --vs "$runs/evolved"

step "Look closer"
cat <<END
logs     .venv/bin/inspect view --log-dir $runs
ledger   $runs/evolution/ledger.jsonl    the fate of every proposed edit
diff     .venv/bin/trace2skill skill diff skills/xlsx-basic $runs/evolution
blame    .venv/bin/trace2skill skill blame $runs/evolution
END
