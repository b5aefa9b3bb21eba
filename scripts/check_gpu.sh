#!/usr/bin/env bash
# Ten minutes on a machine with a GPU: what no CPU can show. Writes its records to runs/check-gpu and prints what it found.
#
#     MODEL=FOLDER bash scripts/check_gpu.sh [PROFILE]
#
# MODEL is a folder with the weights of a small model (default: SmolLM2-135M-Instruct, from the hub). PROFILE (default qwen3.5-35b-a3b)
# is served with dummy weights, as `trace2skill serve` would on these GPUs; DUMMY may name a folder with its configuration and tokenizer.
# It was written without a GPU and never run on one.
set -euo pipefail
cd "$(dirname "$0")/.."

MODEL=${MODEL:-HuggingFaceTB/SmolLM2-135M-Instruct}
PROFILE=${1:-qwen3.5-35b-a3b}
VLLM=${VLLM:-vllm}
PORT=${PORT:-8000}
OUT=${OUT:-runs/check-gpu}
NAME=check/tiny
PROMPTS=${PROMPTS:-64}
export VLLM_BASE_URL="http://127.0.0.1:$PORT/v1" VLLM_NO_USAGE_STATS=1
mkdir -p "$OUT"

server=
stop() {
    [ -n "$server" ] || return 0
    kill -TERM -- "-$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
    server=
}
trap stop EXIT INT TERM

start() { # LOG COMMAND
    local log=$1
    setsid bash -c "exec env $2" >"$log" 2>&1 &
    server=$!
    for _ in $(seq 300); do
        curl -sf "http://127.0.0.1:$PORT/health" >/dev/null && return 0
        kill -0 "$server" 2>/dev/null || break
        sleep 1
    done
    echo "The server did not answer; the end of $log:" >&2
    tail -20 "$log" >&2
    exit 1
}

counter() { # NAME: the sum of one of the server's counters
    curl -sf "http://127.0.0.1:$PORT/metrics" | awk -v name="vllm:$1_total" '{ split($1, part, "{") } part[1] == name { sum += $NF } END { print sum + 0 }'
}

measured() { # LABEL, then a command: output tokens per second of the server while it runs, and the prefix cache's share
    local label=$1 tokens hits queries begin
    shift
    tokens=$(counter generation_tokens) hits=$(counter prefix_cache_hits) queries=$(counter prefix_cache_queries) begin=$(date +%s.%N)
    "$@" >"$OUT/$label.txt" 2>&1 || { tail -20 "$OUT/$label.txt" >&2; exit 1; }
    python3 - "$label" "$begin" "$(date +%s.%N)" "$tokens" "$(counter generation_tokens)" "$hits" "$(counter prefix_cache_hits)" "$queries" "$(counter prefix_cache_queries)" <<'PY' | tee -a "$OUT/rates.txt"
import sys
label, *numbers = sys.argv[1:]
begin, end, tokens, tokens_after, hits, hits_after, queries, queries_after = map(float, numbers)
asked = queries_after - queries
print(f"{label}: {(tokens_after - tokens) / (end - begin):.1f} output tokens/s, prefix hits {(hits_after - hits) / asked if asked else 0:.1%}")
PY
}

tasks() { # the four sample tasks, through Inspect's real provider
    local task
    for task in spreadsheet wikitq visionqa math_reasoning; do
        [ "$task" = visionqa ] && [ "${IMAGES:-0}" = 0 ] && { echo "visionqa left out: IMAGES=1 plays it"; continue; }
        inspect eval "evals/$task.py" --model "vllm/$NAME" -T dataset=sample -T split=all --limit 16 --max-tokens 256 --message-limit 8 \
            --seed 1 --max-connections 64 --display plain --log-dir "$OUT/logs"
    done
}

bench() { # INPUT OUTPUT TOKENIZER: vLLM's own client on a mix of the same lengths; its prompts share no beginning, those of the tasks do
    "$VLLM" bench serve --backend openai-chat --endpoint /v1/chat/completions --base-url "http://127.0.0.1:$PORT" --model "$NAME" \
        --tokenizer "$3" --dataset-name random --random-input-len "$1" --random-output-len "$2" --num-prompts "$PROMPTS" --max-concurrency 64 --seed 1
}

lengths() { # mean prompt and answer of a call in the logs just written
    python3 - "$OUT/logs" <<'PY'
import sys
from inspect_ai.log import list_eval_logs, read_eval_log
calls = prompt = answer = 0
for info in list_eval_logs(sys.argv[1]):
    for sample in read_eval_log(info).samples or []:
        for event in sample.events:
            if event.event == "model" and event.output.usage:
                usage = event.output.usage
                calls += 1
                prompt += usage.input_tokens + (usage.input_tokens_cache_read or 0)
                answer += usage.output_tokens
print(max(prompt // max(calls, 1), 1), max(answer // max(calls, 1), 1))
PY
}

compared() { # LABEL TOKENIZER: the harness, then vLLM's benchmark on the same mix, and their ratio
    rm -rf "$OUT/logs"
    measured "$1-harness" tasks
    read -r input output < <(lengths)
    echo "$1: mean call of $input tokens in, $output out"
    measured "$1-bench" bench "$input" "$output" "$2"
}

rm -f "$OUT/rates.txt"
nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv

echo "== the tiny model, real weights"
start "$OUT/tiny.log" "$VLLM serve $MODEL --served-model-name $NAME --host 127.0.0.1 --port $PORT --enable-prefix-caching \
    --enable-prompt-tokens-details --enable-auto-tool-choice --tool-call-parser hermes"
trace2skill doctor "$VLLM_BASE_URL" || true
compared tiny "$MODEL"
stop

echo "== $PROFILE, dummy weights: speed only, what it writes is noise"
command=$(trace2skill serve "$PROFILE" --vllm "$VLLM" --port "$PORT" --print -- --load-format dummy --max-model-len 16384)
NAME=$(sed 's/.*--served-model-name \([^ ]*\).*/\1/' <<<"$command")
[ -z "${DUMMY:-}" ] || command=${command/serve $NAME --revision main/serve $DUMMY}
start "$OUT/dummy.log" "$command"
compared dummy "${DUMMY:-$NAME}"
stop

awk '{ sub(":", "", $1); split($1, part, "-"); rate[part[1], part[2]] = $2 } END {
    for (model in rate) { split(model, part, SUBSEP); if (part[2] == "harness" && rate[part[1], "bench"])
        printf "%s: harness / vllm bench serve = %.2f\n", part[1], rate[model] / rate[part[1], "bench"] } }' "$OUT/rates.txt"
