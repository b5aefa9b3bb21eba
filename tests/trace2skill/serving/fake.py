"""A small OpenAI-compatible endpoint that answers every probe rightly, but for the faults that it is given."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = "fake/model"
CONTEXT = 2000


class Fake(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, faults: set[str], port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.faults = faults
        self.hits = 0.0
        self.queries = 0.0
        self.seen: list[str] = []
        self.draws = 0
        self.released = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


@contextmanager
def fake_endpoint(*faults: str) -> Iterator[Fake]:
    server = Fake(set(faults))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        server.server_close()
        thread.join()


def serve(port: int, *faults: str) -> None:
    """Serve until this process ends."""
    Fake(set(faults), port).serve_forever()


class _Handler(BaseHTTPRequestHandler):
    server: Fake

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        faults = self.server.faults
        if "silent" in faults:
            self.server.released.wait(30)
        if "loading" in faults:
            self._send({"error": "not yet"}, 503)
        elif "locked" in faults and self.headers.get("Authorization") != "Bearer secret":
            self._send({"error": "no key"}, 401)
        elif self.path == "/v1/models" and "website" not in faults:
            names = [] if "none" in faults else [MODEL, "other/model"] if "two" in faults else [MODEL]
            self._send({"data": [{"id": name, "max_model_len": CONTEXT} for name in names]})
        elif self.path == "/health":
            self._send("")
        elif self.path == "/metrics" and "unmetered" not in faults:
            counters = {"hits": self.server.hits, "queries": self.server.queries}
            text = "".join(
                f'vllm:prefix_cache_{name}_total{{engine="0"}} {value}\n' for name, value in counters.items()
            )
            self._send(text)
        else:
            self._send({"error": "nothing here"}, 404)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        faults = self.server.faults
        if "mute" in faults:
            self.server.released.wait(30)
        if "broken" in faults:
            self._send({"error": {"message": "the engine is dead"}}, 500)
            return
        if "null" in faults:
            self._send(None)
            return
        text = _text(body)
        message: dict[str, Any] = {"role": "assistant", "content": "yes"}
        if body.get("tools"):
            message = self._call(text)
        elif body.get("response_format"):
            message = self._json(body)
        elif "Make up a word" in text:
            drawn = self._draw(body["seed"])
            if "wordless" in faults:
                drawn = ""
            message = {"role": "assistant", "content": drawn}
            if "thoughtful" in faults:
                message = {"role": "assistant", "content": "", "reasoning_content": drawn}
        elif "picture" in text:
            message["content"] = "I see nothing." if "blind" in faults else "7294"
        self._answer(message, text)

    def _call(self, text: str) -> dict[str, Any]:
        faults = self.server.faults
        green = "green" in text
        arguments = {"room": "green" if green and "loose" in faults else "red", "seats": 4}
        call = json.dumps({"name": "book", "arguments": arguments})
        for fault, written in {
            "fenced": f"```json\n{call}\n```",
            "tagged": f"<tool_call>\n{call}\n</tool_call>",
            "tags": "<tool_call><function=book><parameter=room>red",
            "chatty": "I would be glad to help.",
        }.items():
            if fault in faults:
                return {"role": "assistant", "content": written}
        function = {"name": "book", "arguments": json.dumps(arguments)}
        return {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "1", "type": "function", "function": function}],
        }

    def _json(self, body: dict[str, Any]) -> dict[str, Any]:
        faults = self.server.faults
        thinking = body["chat_template_kwargs"]["enable_thinking"]
        value = {"city": "Rome", "country": "Spain" if "free" in faults else "Italy"}
        content = "Rome, of course." if "prose" in faults else json.dumps(value)
        thought = {"reasoning_content": "Rome is in Italy."} if thinking and "thoughtless" not in faults else {}
        return {"role": "assistant", "content": content, **thought}

    def _draw(self, seed: int) -> str:
        if "unseeded" in self.server.faults:
            return f"{time.monotonic_ns()}"
        if "drifting" in self.server.faults:
            return f"{seed}, which is said at length before the first digit that differs: {time.monotonic_ns()}"
        # Four draws are made alone; whatever comes after them is one of the nine.
        self.server.draws += 1
        return f"{seed}{' among others' if self.server.draws > 4 and 'batched' in self.server.faults else ''}"

    def _answer(self, message: dict[str, Any], text: str) -> None:
        faults = self.server.faults
        tokens = len(text.split()) + 10
        if tokens > (CONTEXT // 2 if "short" in faults else CONTEXT):
            self._send({"error": {"message": f"{tokens} tokens are too many"}}, 400)
            return
        start = " ".join(text.split()[:100])
        cached = tokens - 10 if start in self.server.seen and "uncached" not in faults and tokens > 200 else 0
        self.server.seen.append(start)
        self.server.queries += tokens
        self.server.hits += cached
        usage: dict[str, Any] = {"prompt_tokens": tokens, "completion_tokens": 1, "total_tokens": tokens + 1}
        if "unsaid" not in faults:
            usage["prompt_tokens_details"] = {"cached_tokens": cached}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        self._send(
            {
                "id": "1",
                "object": "chat.completion",
                "created": 0,
                "model": MODEL,
                "choices": [choice],
                **({} if "uncounted" in faults else {"usage": usage}),
            }
        )

    def _send(self, content: Any, status: int = 200) -> None:
        data = (content if isinstance(content, str) else json.dumps(content)).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain" if isinstance(content, str) else "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _text(body: dict[str, Any]) -> str:
    parts = body["messages"][-1]["content"]
    return parts if isinstance(parts, str) else " ".join(part.get("text", "") for part in parts)
