#!/usr/bin/env bash
# Qwen2.5-Coder-1.5B-Instruct reads its own answers to questions about small tables and writes skills and memories; it and the 0.5B model are
# evaluated with them.
#
#     AUTHOR_URL=http://127.0.0.1:8001/v1 OTHER_URL=http://127.0.0.1:8002/v1 DATASET=FOLDER bash results/qwen2.5-coder/study.sh
#
# Two vLLM servers (README.md beside this file says how they were started), the author's and the other scale's; DATASET is what slice.py wrote.
# Each stage is resumed where it stopped; OUT is where all is kept. ROLLOUTS, TESTS and TOKENS make it smaller. With USERS="other" what is in OUT already
# is evaluated with the other scale alone.
set -euo pipefail
cd "$(dirname "$0")/../.."
export VLLM_API_KEY=${VLLM_API_KEY:-none}
AUTHOR=${AUTHOR:-vllm/qwen2.5-coder-1.5b}
OTHER=${OTHER:-vllm/qwen2.5-coder-0.5b}
OUT=${OUT:-runs/qwen2.5-coder}
USERS=${USERS:-author other}
TOKENS=${TOKENS:-512}
SKILL=results/qwen2.5-coder/table-questions
PROFILE=${PROFILE:-qwen2.5-coder-1.5b-cpu}
mkdir -p "$OUT/author" "$OUT/other"

task() { # URL MODEL LOG, then arguments of Inspect
    local url=$1 model=$2 log=$3
    shift 3
    VLLM_BASE_URL=$url inspect eval-set evals/wikitq.py --model "$model" -T "dataset=$DATASET" -T format=text --max-tokens "$TOKENS" --temperature 0.7 --top-p 0.8 --seed 1 \
        --max-connections 128 --retry-attempts 2 --retry-wait 5 --no-log-realtime --display plain --log-dir "$OUT/$log" "$@" >"$OUT/$log.txt" 2>&1 || { tail -5 "$OUT/$log.txt"; echo "FAILED: $log"; }
}
evolve() { # NAME, then arguments of evolve
    local name=$1 status=0
    shift
    VLLM_BASE_URL=$AUTHOR_URL trace2skill evolve "$OUT/evolve-split" --output "$OUT/evolved-$name" --profile "$PROFILE" \
        --transcript-tokens 6000 --max-quarantined 1 --max-connections 96 --display plain "$@" >"$OUT/evolved-$name.txt" 2>&1 || status=$?
    [ $status = 0 ] || [ $status = 3 ] || { tail -5 "$OUT/evolved-$name.txt"; echo "FAILED: evolve $name"; }
}
each() { wait; echo "$1: $(($(date +%s) - BEGIN)) s"; BEGIN=$(date +%s); }
BEGIN=$(date +%s)

author() {
    # Does the author neither always fail nor always pass? Looked at on questions for evolving only.
    task "$AUTHOR_URL" "$AUTHOR" evolve-split -T split=evolve -T skill=$SKILL --limit "${ROLLOUTS:-400}" &
    task "$AUTHOR_URL" "$AUTHOR" evolve-split-without -T split=evolve --limit "${ROLLOUTS:-400}" &
    each "rollouts"
    trace2skill compare "$OUT/evolve-split-without" --vs "$OUT/evolve-split" | tee "$OUT/evolve-split.txt" || true

    PARALLEL=(--skill $SKILL --max-turns 8 --merge-batch 16)
    {
        evolve error --analysts error "${PARALLEL[@]}"
        evolve sequential --method sequential --batch 4 --reuse-analyses "$OUT/evolved-error" --skill $SKILL --max-turns 8
    } &
    for condition in success combined error-llm; do evolve $condition --analysts $condition "${PARALLEL[@]}" & done
    for memory in $MEMORIES; do evolve $memory --method $memory & done
    each "evolutions"
}
SKILLS="error success combined error-llm sequential"
MEMORIES="reasoning-bank awm synapse"
[[ " $USERS " != *" author "* ]] || author

tests() { # WHO URL MODEL
    task "$2" "$3" "$1/no-skill" -T split=test --limit "${TESTS:-400}" &
    task "$2" "$3" "$1/initial" -T split=test --limit "${TESTS:-400}" -T skill=$SKILL &
    for name in $SKILLS; do task "$2" "$3" "$1/$name" -T split=test --limit "${TESTS:-400}" -T "skill=$OUT/evolved-$name" & done
    for name in $MEMORIES; do task "$2" "$3" "$1/$name" -T split=test --limit "${TESTS:-400}" -T "memory=$OUT/evolved-$name" & done
    wait
    task "$2" "$3" "$1/equal-tokens" -T split=test --limit "${TESTS:-400}" -T "match_tokens=$OUT/$1/combined"
    # The same once more: what two runs of one condition differ by.
    task "$2" "$3" "$1/again" -T split=test --limit "${TESTS:-400}" --seed 2
}
for who in $USERS; do
    if [ "$who" = author ]; then tests author "$AUTHOR_URL" "$AUTHOR" & else tests other "$OTHER_URL" "$OTHER" & fi
done
each "evaluations"

for who in $USERS; do
    arguments=()
    for arm in again initial $SKILLS $MEMORIES equal-tokens; do arguments+=(--vs "$OUT/$who/$arm"); done
    trace2skill compare "$OUT/$who/no-skill" "${arguments[@]}" --cluster table --methods | tee "$OUT/$who.txt" || true
done
each "comparisons"
