#!/usr/bin/env bash
# A quarter of an hour on a machine with a GPU: what no CPU can show. Writes its records to OUT (runs/check-gpu) and prints what it found.
#
#     MODEL=FOLDER bash scripts/check_gpu.sh [PROFILE]
#
# MODEL is a small model with real weights (default: Qwen2.5-Coder-0.5B-Instruct, from the hub). PROFILE (default qwen3.5-35b-a3b) is served
# with dummy weights, as `trace2skill serve` would on these GPUs, images too; DUMMY may name a folder with its configuration and a tokenizer,
# for machines without a hub, and OPTIONS what vLLM is told beside. STAGES (default "real dummy") says which of the two, and in what order.
# SERVED names a model that a server at PORT serves already: it is measured as the real one, MODEL is then its tokenizer. docs/gpu.md says what was seen.
set -euo pipefail
cd "$(dirname "$0")/.."

MODEL=${MODEL:-Qwen/Qwen2.5-Coder-0.5B-Instruct}
PROFILE=${1:-qwen3.5-35b-a3b}
VLLM=${VLLM:-vllm}
PYTHON=${PYTHON:-python3}
PORT=${PORT:-8000}
OUT=${OUT:-runs/check-gpu}
EPOCHS=${EPOCHS:-8}
AT_ONCE=${AT_ONCE:-128}
export VLLM_BASE_URL="http://127.0.0.1:$PORT/v1" VLLM_API_KEY=${VLLM_API_KEY:-none} VLLM_NO_USAGE_STATS=1
export OPENAI_API_KEY=$VLLM_API_KEY # that of vLLM's own client
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
    local log=$1 begin
    begin=$(date +%s)
    setsid bash -c "exec env $2" >"$log" 2>&1 &
    server=$!
    for _ in $(seq 900); do # a cold start compiles for minutes
        if curl -sf "http://127.0.0.1:$PORT/health" >/dev/null; then
            echo "the server answers after $(($(date +%s) - begin)) s"
            return 0
        fi
        kill -0 "$server" 2>/dev/null || break
        sleep 1
    done
    echo "The server did not answer; the end of $log:" >&2
    tail -20 "$log" >&2
    return 1
}

counter() { # NAME: the sum of one of the server's counters
    curl -sf "http://127.0.0.1:$PORT/metrics" | awk -v name="vllm:$1_total" '{ split($1, part, "{") } part[1] == name { sum += $NF } END { print sum + 0 }'
}

tasks() { # LABEL TASK...: the sample tasks, through Inspect's own provider
    local label=$1 task
    shift
    for task; do
        inspect eval "evals/$task.py" --model "vllm/$NAME" -T dataset=sample -T split=all --limit 16 --epochs "$EPOCHS" --max-tokens 256 --message-limit 8 \
            --seed 1 --max-connections "$AT_ONCE" --display plain --no-log-realtime --log-dir "$OUT/logs-$label" >"$OUT/$label-$task.txt" 2>&1 || tail -5 "$OUT/$label-$task.txt" >&2
    done
}

rates() { # LABEL: for each task and all, calls, mean lengths and output tokens per second from the first call's start to the last one's end
    $PYTHON - "$OUT/logs-$1" "$1" <<'PY'
import sys
from inspect_ai.log import list_eval_logs, read_eval_log
calls = prompt = answer = failed = 0
seconds = 0.0
for info in list_eval_logs(sys.argv[1]):
    log = read_eval_log(info)
    spans, tokens = [], 0
    for sample in log.samples or []:
        failed += sample.error is not None
        for event in sample.events:
            if event.event == "model" and event.output.usage and event.completed:
                usage = event.output.usage
                calls, tokens = calls + 1, tokens + usage.output_tokens
                prompt += usage.input_tokens + (usage.input_tokens_cache_read or 0)
                spans.append((event.timestamp, event.completed))
    if spans:
        span = (max(end for _, end in spans) - min(begin for begin, _ in spans)).total_seconds()
        seconds, answer = seconds + span, answer + tokens
        print(f"  {log.eval.task}: {len(log.samples)} runs, {len(spans)} calls, {tokens / span:.0f} output tokens/s over {span:.1f} s", file=sys.stderr)
print(f"  {failed} samples ended in errors", file=sys.stderr)
print(calls, max(prompt // max(calls, 1), 1), max(answer // max(calls, 1), 1), f"{answer / max(seconds, 1e-9):.0f}")
PY
}

bench() { # LABEL INPUT OUTPUT TOKENIZER BODY: vLLM's own client on calls of the same lengths; its prompts share no beginning, those of the tasks do
    "$VLLM" bench serve --backend openai-chat --endpoint /v1/chat/completions --base-url "http://127.0.0.1:$PORT" --model "$NAME" --tokenizer "$4" \
        --dataset-name random --random-input-len "$2" --random-output-len "$3" --ignore-eos --num-prompts $((AT_ONCE * 4)) --max-concurrency "$AT_ONCE" \
        --seed 1 --extra-body "$5" >"$OUT/$1-bench.txt" 2>&1 || tail -20 "$OUT/$1-bench.txt" >&2
    sed -n 's/^Output token throughput.*: *\([0-9.]*\) *$/\1/p' "$OUT/$1-bench.txt"
}

compared() { # LABEL TOKENIZER TASK...: the harness, then vLLM's benchmark on calls of the same lengths, and their ratio
    local label=$1 tokenizer=$2 hits queries calls input output harness seeded free
    shift 2
    rm -rf "$OUT/logs-$label" "$OUT/logs-$label-warm"
    EPOCHS=1 tasks "$label-warm" "$@" # kernels are compiled at their first use
    hits=$(counter prefix_cache_hits) queries=$(counter prefix_cache_queries)
    tasks "$label" "$@"
    awk -v a="$hits" -v b="$(counter prefix_cache_hits)" -v c="$queries" -v d="$(counter prefix_cache_queries)" \
        'BEGIN { printf "  of %d prompt tokens %.1f%% came from the prefix cache\n", d - c, (d > c ? 100 * (b - a) / (d - c) : 0) }'
    read -r calls input output harness < <(rates "$label")
    [ "$calls" -gt 0 ] || { echo "no call was answered: $OUT/$label-*.txt say why" >&2 && return 1; }
    seeded=$(bench "$label" "$input" "$output" "$tokenizer" '{"seed": 1}')
    free=$(bench "$label-unseeded" "$input" "$output" "$tokenizer" '{}')
    awk -v calls="$calls" -v input="$input" -v output="$output" -v harness="$harness" -v seeded="${seeded:-0}" -v free="${free:-0}" -v at="$AT_ONCE" 'BEGIN {
        printf "  %d calls of %d tokens in and %d out on average, %d at once: harness %d output tokens/s\n", calls, input, output, at, harness
        if (seeded) printf "  vllm bench serve, each call with a seed as the harness has it: %d, ratio %.2f\n", seeded, harness / seeded
        if (free) printf "  without seeds: %d, ratio %.2f\n", free, harness / free }'
    [[ "${seeded:-0.00}" != 0.00 && "${free:-0.00}" != 0.00 ]] || { echo "vllm bench serve gave no rate: $OUT/$label*-bench.txt say why" >&2 && return 1; }
}

nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv 2>/dev/null || echo "no GPU is seen here"

real() {
    NAME=${SERVED:-check/tiny}
    echo "== a small model, real weights"
    [ -n "${SERVED:-}" ] || start "$OUT/tiny.log" "$VLLM serve $MODEL --served-model-name $NAME --host 127.0.0.1 --port $PORT --max-model-len 16384 --enable-prefix-caching \
        --enable-prompt-tokens-details --enable-auto-tool-choice --tool-parser-plugin $PWD/trace2skill/models/profiles/qwen2_5_coder_tool_parser.py \
        --tool-call-parser qwen2_5_coder ${OPTIONS:-}"
    trace2skill doctor "$VLLM_BASE_URL" || true
    compared tiny "$MODEL" spreadsheet wikitq math_reasoning
    stop
}

dummy() {
    local command
    echo "== $PROFILE, dummy weights: speed only, what it writes is noise"
    command=$(trace2skill serve "$PROFILE" --images --vllm "$VLLM" --port "$PORT" --print -- --load-format dummy --max-model-len 16384 ${OPTIONS:-} | grep -v '^#')
    NAME=$(sed 's/.*--served-model-name \([^ ]*\).*/\1/' <<<"$command")
    [ -z "${DUMMY:-}" ] || command=$(sed "s#serve $NAME \(--revision [^ ]* \)\?#serve $DUMMY #" <<<"$command")
    echo "$command"
    start "$OUT/dummy.log" "$command"
    compared dummy "${DUMMY:-$NAME}" spreadsheet wikitq math_reasoning visionqa
    stop
}

for stage in ${STAGES:-real dummy}; do
    case $stage in
        real | dummy) "$stage" ;;
        *) echo "unknown stage $stage: real or dummy" >&2 && exit 2 ;;
    esac
done
