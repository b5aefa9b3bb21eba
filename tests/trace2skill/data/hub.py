"""A small server of the Hugging Face hub's form, and data in the form in which the hub's users keep it."""

import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import datasets
import PIL.Image

COMMIT = "c0ffee0c0ffee0c0ffee0c0ffee0c0ffee0c0ffe"


@dataclass
class Hub:
    """Files by repository and path, files by address, and what was asked for."""

    repos: dict[str, dict[str, bytes]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    address: str = ""
    commit: str = COMMIT
    asked: list[str] = field(default_factory=list)
    cut_after: int | None = None
    """Bytes of the next file to send before the connection breaks, once."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *args: object) -> None: ...

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        wanted = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}").get("paths", [])
        repo, _, _ = unquote(urlsplit(self.path).path).removeprefix("/api/datasets/").partition("/paths-info/")
        files = self.hub.repos.get(repo, {})
        self._json([_entry(path, files[path]) for path in wanted if path in files])

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        ranged = self.headers["Range"]
        self.hub.asked.append(f"{self.command} {path}{f' {ranged}' if ranged else ''}")
        if path in self.hub.files:
            self._send(self.hub.files[path])
        elif path.startswith("/api/datasets/"):
            self._api(path.removeprefix("/api/datasets/"))
        elif path.startswith("/datasets/") and "/resolve/" in path:
            repo, _, rest = path.removeprefix("/datasets/").partition("/resolve/")
            revision, _, file = rest.partition("/")
            self._resolve(repo, revision, file)
        else:
            self._missing("EntryNotFound")

    def _api(self, path: str) -> None:
        repo = "/".join(path.split("/")[:2])
        what, _, rest = path.removeprefix(repo).lstrip("/").partition("/")
        files = self.hub.repos.get(repo)
        revision, _, folder = rest.partition("/")
        if files is None:
            self._missing("RepoNotFound")
        elif what and revision not in ("main", self.hub.commit):
            self._missing("RevisionNotFound")
        elif what == "tree":
            self._json(list(_tree(files, folder)))
        else:
            self._json({"id": repo, "sha": self.hub.commit, "siblings": [{"rfilename": name} for name in files]})

    def _resolve(self, repo: str, revision: str, file: str) -> None:
        content = self.hub.repos.get(repo, {}).get(file)
        if repo not in self.hub.repos:
            self._missing("RepoNotFound")
        elif revision not in ("main", self.hub.commit):
            self._missing("RevisionNotFound")
        elif content is None:
            self._missing("EntryNotFound")
        else:
            self._send(content, {"X-Repo-Commit": self.hub.commit, "ETag": f'"{sha256(content).hexdigest()}"'})

    def _json(self, content: Any) -> None:
        self._send(json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _missing(self, code: str) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Repo-Commit", self.hub.commit)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, content: bytes, headers: dict[str, str] | None = None) -> None:
        begin = int((self.headers["Range"] or "bytes=0-").removeprefix("bytes=").split("-")[0])
        self.send_response(206 if self.headers["Range"] else 200)
        if self.headers["Range"]:
            self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content) - begin))
        self.end_headers()
        if self.command == "HEAD":
            return
        body = content[begin:]
        if self.hub.cut_after is not None and len(body) > self.hub.cut_after:
            body, self.hub.cut_after, self.close_connection = body[: self.hub.cut_after], None, True
        self.wfile.write(body)


def _entry(path: str, content: bytes) -> dict[str, Any]:
    return {"type": "file", "path": path, "size": len(content), "oid": sha256(content).hexdigest()[:40]}


def _tree(files: dict[str, bytes], folder: str) -> Iterator[dict[str, Any]]:
    yield from (_entry(path, content) for path, content in files.items() if path.startswith(folder))
    folders = {path.rpartition("/")[0] for path in files if "/" in path and path.startswith(folder)}
    yield from ({"type": "directory", "path": path, "size": 0, "oid": "0" * 40} for path in folders - {folder})


@contextmanager
def serve(hub: Hub) -> Iterator[Hub]:
    """Serve it on this machine, by one address as the hub and as any other site."""
    handler = type("BoundHandler", (_Handler,), {"hub": hub})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        hub.address = f"http://127.0.0.1:{http.server_port}"
        yield hub
        http.shutdown()
        thread.join(5)


def parquet(rows: list[dict[str, Any]]) -> bytes:
    """Rows as the hub keeps them."""
    table = datasets.Dataset.from_list(rows)
    if "image" in rows[0]:
        table = table.cast_column("image", datasets.Image())
    buffer = io.BytesIO()
    table.to_parquet(buffer)
    return buffer.getvalue()


def page(number: int) -> bytes:
    """A tiny image that differs from others."""
    buffer = io.BytesIO()
    PIL.Image.new("RGB", (2, 2), (number % 256, number // 256 % 256, 7)).save(buffer, "PNG")
    return buffer.getvalue()
