#!/usr/bin/env bash
# The whole loop with a real model on this machine's CPU: weights, vLLM, rollouts, skills and a memory made of them in each way, evaluation, comparison.
#
#   make real                                   weights and vLLM from ../shared/models
#   make real MODEL=FOLDER VLLM=bin/vllm        weights and vLLM of one's own; PROFILE says how they are served
#
# The tiny model that is the default learns nothing: what is shown is that every part works with a real model, and what it cost. Finished
# stages are reused; another REAL begins anew.
set -euo pipefail
models=${MODELS:-../shared/models}
profile=${PROFILE:-smollm2-135m-cpu}
runs=${REAL:-runs/real}
port=${PORT:-8130}
work=$(mkdir -p "$runs" && cd "$runs" && pwd)
display=plain

step() { printf '\n\033[1m%s\033[0m\n' "$*"; }
fail() { echo "make real: $*" >&2; exit 1; }

step "1/6  vLLM and weights"
if [ -z "${VLLM:-}" ] && [ -f "$models/install-vllm-cpu.sh" ]; then
    VLLM=$work/vllm/bin/vllm
    [ -x "$VLLM" ] || echo "installing vLLM for the CPU into $work/vllm (once; a minute or two, 2.8 GB)"
    bash "$models/install-vllm-cpu.sh" "$work/vllm" >"$work/install.log" 2>&1 || fail "vLLM could not be installed; $work/install.log says why."
fi
VLLM=${VLLM:-$(command -v vllm || true)}
[ -n "$VLLM" ] || fail "there is no vLLM. Give its program with VLLM=, or a folder with install-vllm-cpu.sh with MODELS=."
if [ -z "${MODEL:-}" ]; then
    [ -f "$models/fetch.sh" ] || fail "there are no weights. Give a folder of them with MODEL=, or a folder with fetch.sh with MODELS=."
    MODEL=$work/smollm2-135m
    if [ ! -f "$MODEL/config.json" ]; then
        bash "$models/fetch.sh" smollm2-135m "$work"
        "$(dirname "$VLLM")/python" "$models/convert.py" "$work" smollm2-135m.gguf "$MODEL.part" && mv "$MODEL.part" "$MODEL"
    fi
fi
weights=$(cat "$MODEL"/*.safetensors | sha256sum | cut -c1-16)
name=$(basename "$MODEL")
echo "speaks: $name, weights $weights (SHA-256 of its safetensors, first 16 digits)"

step "2/6  the server"
# Without instructions for it a processor emulates bfloat16.
dtype=float32
grep -qE 'avx512_bf16|amx_bf16|bf16' /proc/cpuinfo && dtype=bfloat16
export VLLM_API_KEY=${VLLM_API_KEY:-none} VLLM_BASE_URL=http://127.0.0.1:$port/v1
trace2skill serve "$profile" --model "$MODEL" --port "$port" --vllm "$VLLM" --call-timeout 900 --log "$work/server.log" -- --max-model-len 4096 --dtype $dtype >"$work/serve.txt" 2>&1 &
server=$!
trap 'kill -INT $server 2>/dev/null; wait $server 2>/dev/null || true' EXIT
until grep -q "^Serving at" "$work/serve.txt"; do
    kill -0 $server 2>/dev/null || { cat "$work/serve.txt" >&2; fail "the server did not start; its log is $work/server.log"; }
    sleep 2
done
cat "$work/serve.txt"
served=$(sed -n 's|.*--model vllm/\([^ ]*\).*|\1|p' "$work/serve.txt" | head -1)
model=vllm/${served:-$name}

dataset=${DATASET:-}
if [ -z "$dataset" ]; then
    if [ -f "$models/easy-math/problems.jsonl" ]; then dataset=$models/easy-math; else dataset=sample; fi
fi
rollout() { # name, split, problems at most, further arguments
    local log=$1 split=$2 problems=$3
    shift 3
    inspect eval-set evals/math_reasoning.py --model "$model" -T "dataset=$dataset" -T "split=$split" --limit "$problems" --max-tokens 100 --seed 1 \
        --max-connections 16 --retry-attempts 1 --retry-wait 5 "$@" --no-log-realtime --log-dir "$work/$log" --display "$display"
}

step "3/6  $name solves eight problems of the evolve split with skills/math-basic"
rollout evolve-split evolve 8 -T skill=skills/math-basic

step "4/6  it reads its own runs, and makes of them skills, in each way, and a memory"
evolve() { # output, further arguments
    local output=$1
    shift
    # Exit code 3: the run is finished and has left the skill as it was, which is no failure of the harness.
    trace2skill evolve "$work/evolve-split" --output "$work/$output" --profile "$profile" --analyst-max-tokens 200 --transcript-tokens 500 \
        --max-connections 16 --display "$display" "$@" || [ $? = 3 ]
}
own() { # output, further arguments: with the initial skill, and little room for a small model
    local output=$1
    shift
    evolve "$output" --skill skills/math-basic --max-turns 2 --merger-max-tokens 300 "$@"
}
merged="--merge-batch 4 --min-support 1"
own evolution-combined --analysts combined $merged
own evolution-error-llm --analysts error-llm $merged
for analysts in success error; do
    own "evolution-$analysts" --analysts "$analysts" $merged --reuse-analyses "$work/evolution-combined"
done
own sequential --method sequential --batch 4 --analysts error-llm --reuse-analyses "$work/evolution-error-llm"
evolve reasoning-bank --method reasoning-bank

step "5/6  it solves the test split without a skill, with the initial and the evolved one, and with the memory"
rollout no-skill test 12
rollout math-basic test 12 -T skill=skills/math-basic
rollout evolved test 12 -T "skill=$work/evolution-combined"
rollout memory test 12 -T "memory=$work/reasoning-bank"

step "6/6  Did it help?  (so few problems, and a model of 135 million parameters, cannot tell)"
trace2skill compare "$work/no-skill" --vs "$work/math-basic" --vs "$work/evolved" --vs "$work/memory" --methods
echo
echo "spoke: $name, weights $weights. logs: $runs"
