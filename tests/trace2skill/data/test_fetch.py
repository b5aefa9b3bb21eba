import io
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from trace2skill.cli.data import data
from trace2skill.data.cards import Card, Source, benchmarks, load_card, read_card
from trace2skill.data.download import ATTEMPTS, download
from trace2skill.data.fetch import fetch, verify
from trace2skill.errors import DataError

SHARED = Path(__file__).parents[3] / "../shared/data/spreadsheetbench"

REVISION = "0123abc"
CONTENTS = {"dataset.json": b"[1, 2]", "spreadsheet/1/1_1_init.xlsx": b"init" * 50_000}
CHECKSUMS = {path: sha256(content).hexdigest() for path, content in CONTENTS.items()}


@dataclass
class Served:
    """What a path of the test server gives, and how it misbehaves."""

    content: bytes
    ranges: bool = True
    etag: str = ""
    cut_after: int | None = None
    cuts: int = 0
    failures: int = 0
    requests: list[str | None] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    served: dict[str, Served]

    def log_message(self, *args: object) -> None: ...

    def do_GET(self) -> None:
        served = self.served.get(self.path)
        if served is None:
            self.send_error(404)
            return
        asked = self.headers["Range"]
        served.requests.append(asked)
        if served.failures:
            served.failures -= 1
            self.send_error(503)
            return
        if self.headers["If-Range"] not in (None, served.etag) or not served.ranges:
            asked = None
        begin = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        size = len(served.content)
        if begin >= size:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{size}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {begin}-{size - 1}/{size}")
        if served.etag:
            self.send_header("ETag", served.etag)
        self.send_header("Content-Length", str(size - begin))
        self.end_headers()
        body = served.content[begin:]
        if served.cut_after is not None and served.cuts:
            served.cuts -= 1
            body = body[: served.cut_after]
            self.close_connection = True
        self.wfile.write(body)


@dataclass(frozen=True)
class Server:
    address: str
    served: dict[str, Served]

    def give(self, path: str, content: bytes) -> Served:
        self.served[path] = Served(content)
        return self.served[path]


@pytest.fixture
def server() -> Iterator[Server]:
    served: dict[str, Served] = {}
    handler = type("BoundHandler", (Handler,), {"served": served})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield Server(f"http://127.0.0.1:{http.server_port}", served)
        http.shutdown()
        thread.join(5)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder of the test."""
    folder = tmp_path / "data"
    monkeypatch.setenv("TRACE2SKILL_DATA", str(folder))
    return folder


def tar_of(contents: dict[str, bytes], *, mode: str = "w:gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:  # type: ignore[call-overload]
        for path, content in contents.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def zip_of(contents: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, content in contents.items():
            archive.writestr(path, content)
    return buffer.getvalue()


def upstream(**more: bytes) -> dict[str, bytes]:
    """The benchmark as a repository's archive holds it."""
    inside = {f"repo-{REVISION}/data/bench/{path}": content for path, content in CONTENTS.items()}
    return inside | {f"repo-{REVISION}/README.md": b"read me"} | more


def archive_card(server: Server, **changes: object) -> Card:
    source = Source(url=f"{server.address}/{{revision}}.tar.gz", revision=REVISION, inside="repo-{revision}/data/bench")
    fields = {"name": "Bench", "licence": "none", "folder": "bench", "sources": (source,), "files": CHECKSUMS}
    return Card.model_validate(fields | changes)


def contents_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def leftovers(place: Path) -> list[str]:
    """What a fetch left in the data folder beside the benchmarks and its locks."""
    hidden = [path for path in place.iterdir() if path.name.startswith(".") and path.name != ".downloads"]
    return sorted(path.name for path in [*hidden, *(place / ".downloads").iterdir()] if path.suffix != ".lock")


# Fetching


@pytest.mark.parametrize("pack", [tar_of, zip_of, lambda contents: tar_of(contents, mode="w:xz")])
def test_an_archive_is_fetched_checked_and_put_in_place(
    server: Server, place: Path, pack: Callable[[dict[str, bytes]], bytes]
) -> None:
    served = server.give(f"/{REVISION}.tar.gz", pack(upstream()))

    found = fetch(archive_card(server))

    assert (found.state, found.checked, found.unchecked) == ("there", 2, 0)
    assert contents_of(place / "bench") == CONTENTS
    assert leftovers(place) == []
    assert fetch(archive_card(server)) == found
    assert len(served.requests) == 1


def test_single_files_and_patterns(server: Server, place: Path) -> None:
    server.give("/r1/train.parquet", b"rows")
    server.give("/a.zip", zip_of({"data/a.tsv": b"a", "data/b.txt": b"b", "csv/1/2.csv": b"c"}))
    sources = (
        Source(url=f"{server.address}/{{revision}}/train.parquet", revision="r1", path="deep/train.parquet"),
        Source(url=f"{server.address}/a.zip", only=("data/*.tsv", "csv/*")),
    )

    found = fetch(Card(name="Bench", licence="none", folder="bench", sources=sources))

    assert contents_of(place / "bench") == {"deep/train.parquet": b"rows", "data/a.tsv": b"a", "csv/1/2.csv": b"c"}
    assert str(found) == "not checked, no checksum on record: 3 files"


def test_a_broken_transfer_continues_where_it_ended(server: Server, place: Path) -> None:
    content = tar_of(upstream(), mode="w")
    served = server.give(f"/{REVISION}.tar.gz", content)
    served.etag, served.cut_after, served.cuts = '"v1"', 60_000, 2
    told: list[tuple[int, int | None]] = []

    fetch(archive_card(server), progress=lambda source: lambda *now: told.append(now), pause=0)

    assert served.requests == [None, "bytes=60000-", "bytes=120000-"]
    assert contents_of(place / "bench") == CONTENTS
    assert told[0] == (0, len(content))
    assert told[-1] == (len(content), len(content))


def test_a_download_that_keeps_breaking_is_kept_and_resumed_by_the_next_call(server: Server, place: Path) -> None:
    served = server.give(f"/{REVISION}.tar.gz", tar_of(upstream(), mode="w"))
    served.cut_after, served.cuts = 1000, ATTEMPTS

    with pytest.raises(DataError, match=r"in 4 attempts: .* 4,000 bytes are kept in .*run the command again"):
        fetch(archive_card(server), pause=0)
    assert not (place / "bench").exists()
    assert [name for name in leftovers(place) if name.startswith(".")] == []

    fetch(archive_card(server), pause=0)
    assert served.requests[-1] == "bytes=4000-"
    assert contents_of(place / "bench") == CONTENTS


def test_an_overloaded_server_is_asked_again(server: Server, tmp_path: Path) -> None:
    server.give("/file", b"content").failures = 2
    download(f"{server.address}/file", tmp_path / "file", pause=0)
    assert (tmp_path / "file").read_bytes() == b"content"


@pytest.mark.parametrize(("ranges", "etag"), [(False, ""), (True, '"new"')])
def test_a_part_that_cannot_be_continued_is_replaced(server: Server, tmp_path: Path, ranges: bool, etag: str) -> None:
    served = server.give("/file", b"new content")
    served.ranges, served.etag = ranges, etag
    (tmp_path / "file.part").write_bytes(b"old")
    (tmp_path / "file.part.etag").write_text('"old"')

    download(f"{server.address}/file", tmp_path / "file", pause=0)

    assert contents_of(tmp_path) == {"file": b"new content"}


@pytest.mark.parametrize("part", [b"content", b"longer than the content"])
def test_a_part_with_nothing_left_to_fetch(server: Server, tmp_path: Path, part: bytes) -> None:
    server.give("/file", b"content")
    (tmp_path / "file.part").write_bytes(part)

    download(f"{server.address}/file", tmp_path / "file", sha256=sha256(b"content").hexdigest(), pause=0)

    assert contents_of(tmp_path) == {"file": b"content"}


# Refusals


def test_an_address_that_gives_nothing(server: Server, place: Path) -> None:
    with pytest.raises(DataError, match=r"0123abc\.tar\.gz cannot be downloaded: the server answered 404.*--from"):
        fetch(archive_card(server))
    assert leftovers(place) == []


def test_no_server_at_all(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="in 4 attempts"):
        download("http://127.0.0.1:9/file", tmp_path / "file", pause=0)


def test_a_download_with_the_wrong_checksum_is_thrown_away(server: Server, tmp_path: Path) -> None:
    server.give("/file", b"content")
    with pytest.raises(DataError, match=r"but 0000.* is on record"):
        download(f"{server.address}/file", tmp_path / "file", sha256="0" * 64)
    assert contents_of(tmp_path) == {}


def test_files_with_the_wrong_checksum_leave_what_was_there(server: Server, place: Path) -> None:
    (place / "bench").mkdir(parents=True)
    (place / "bench/dataset.json").write_bytes(b"older")
    server.give(f"/{REVISION}.tar.gz", tar_of(upstream() | {f"repo-{REVISION}/data/bench/dataset.json": b"other"}))

    with pytest.raises(DataError, match=r"damaged: wrong content: dataset\.json\."):
        fetch(archive_card(server))

    assert contents_of(place / "bench") == {"dataset.json": b"older"}


@pytest.mark.parametrize("mode", ["w:gz", "w:xz", "w"])
def test_a_corrupted_archive_is_thrown_away_and_fetched_again(server: Server, place: Path, mode: str) -> None:
    whole = tar_of(upstream(), mode=mode)
    served = server.give(f"/{REVISION}.tar.gz", whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"is damaged or no archive.* fetch it again"):
        fetch(archive_card(server))
    assert leftovers(place) == []

    served.content = whole
    assert fetch(archive_card(server)).state == "there"


def test_a_page_instead_of_an_archive(server: Server) -> None:
    server.give(f"/{REVISION}.tar.gz", b"<html>please log in</html>")
    with pytest.raises(DataError, match="is damaged or no archive"):
        fetch(archive_card(server))


@pytest.mark.parametrize("path", ["../outside", "/outside", f"repo-{REVISION}/data/bench/../../../outside", "a\\..\\b"])
@pytest.mark.parametrize("pack", [tar_of, zip_of])
def test_members_that_leave_the_folder_are_refused(
    server: Server, place: Path, pack: Callable[[dict[str, bytes]], bytes], path: str
) -> None:
    server.give(f"/{REVISION}.tar.gz", pack(upstream() | {path: b"evil"}))
    with pytest.raises(DataError, match="written outside its folder"):
        fetch(archive_card(server))
    assert list(place.parent.rglob("outside")) == []
    assert leftovers(place) == []


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(server: Server, kind: bytes) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        entry = tarfile.TarInfo(f"repo-{REVISION}/data/bench/link")
        entry.type, entry.linkname = kind, "/etc/passwd"
        tar.addfile(entry)
    server.give(f"/{REVISION}.tar.gz", buffer.getvalue())
    with pytest.raises(DataError, match="is a link or device"):
        fetch(archive_card(server))


def test_a_file_twice_in_an_archive_is_refused(server: Server) -> None:
    name = f"repo-{REVISION}/data/bench/dataset.json"
    server.give(f"/{REVISION}.tar.gz", tar_of(upstream(), mode="w")[:-10240] + tar_of({name: b"again"}, mode="w"))
    with pytest.raises(DataError, match=r"more than once|damaged"):
        fetch(archive_card(server))


def test_an_archive_without_the_folder(server: Server) -> None:
    server.give(f"/{REVISION}.tar.gz", tar_of({"elsewhere/dataset.json": b""}))
    with pytest.raises(DataError, match="holds no files below 'repo-0123abc/data/bench'"):
        fetch(archive_card(server))


def test_a_second_fetch_at_the_same_time_is_refused(server: Server) -> None:
    server.give(f"/{REVISION}.tar.gz", tar_of(upstream()))

    def meanwhile(source: Source) -> Callable[[int, int | None], None]:
        with pytest.raises(DataError, match="Another process is fetching Bench"):
            fetch(archive_card(server))
        return lambda arrived, total: None

    assert fetch(archive_card(server), progress=meanwhile).state == "there"


def test_a_benchmark_that_only_a_person_can_get() -> None:
    card = Card(name="Bench", licence="terms", folder="bench", obtain="Register at the site.")
    with pytest.raises(DataError, match="cannot be fetched by a program: Register at the site"):
        fetch(card)


# Local copies


@pytest.mark.parametrize("pack", [tar_of, zip_of, lambda contents: tar_of(contents, mode="w")])
def test_a_local_archive_in_any_folder(
    server: Server, place: Path, tmp_path: Path, pack: Callable[[dict[str, bytes]], bytes]
) -> None:
    copy = tmp_path / "copy"
    copy.write_bytes(pack({f"my/own/{path}": content for path, content in CONTENTS.items()}))
    fetch(archive_card(server), copy=copy)
    assert contents_of(place / "bench") == CONTENTS
    assert copy.exists()


def test_a_local_folder_or_file(server: Server, place: Path, tmp_path: Path) -> None:
    (tmp_path / "train.parquet").write_bytes(b"rows")
    source = Source(url=f"{server.address}/train.parquet", path="train.parquet")
    card = Card(name="Bench", licence="none", folder="bench", sources=(source,))
    (tmp_path / "more").mkdir()
    (tmp_path / "more/train.parquet").write_bytes(b"other rows")

    fetch(card, copy=tmp_path / "train.parquet")
    assert contents_of(place / "bench") == {"train.parquet": b"rows"}
    fetch(card, copy=tmp_path / "more", force=True)
    assert contents_of(place / "bench") == {"train.parquet": b"other rows"}


def test_local_copies_are_checked_too(server: Server, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    with pytest.raises(DataError, match="no such file"):
        fetch(archive_card(server), copy=copy)
    copy.write_bytes(b"text")
    with pytest.raises(DataError, match="neither a folder nor"):
        fetch(archive_card(server), copy=copy)
    copy.write_bytes(tar_of({"other": b""}))
    with pytest.raises(DataError, match=r"holds no dataset\.json"):
        fetch(archive_card(server), copy=copy)
    copy.write_bytes(tar_of({"dataset.json": b"wrong"}))
    with pytest.raises(DataError, match=r"absent: spreadsheet/1/1_1_init\.xlsx; wrong content: dataset\.json"):
        fetch(archive_card(server), copy=copy)


# Verifying


def test_what_verify_finds(server: Server, place: Path, tmp_path: Path) -> None:
    card = archive_card(server)
    assert verify(card).state == "missing"
    copy = tmp_path / "copy"
    copy.write_bytes(tar_of(CONTENTS))
    fetch(card, copy=copy)
    (place / "bench/notes.txt").write_bytes(b"mine")
    assert str(verify(card)) == "checksum right: 2 files; not checked, no checksum on record: 1 files"
    (place / "bench/dataset.json").write_bytes(b"[1, 3]")
    found = verify(card)
    assert (found.state, found.wrong, found.absent) == ("damaged", ("dataset.json",), ())
    assert verify(card, contents=False).state == "there"
    (place / "bench/dataset.json").unlink()
    assert verify(card, contents=False).state == "damaged"
    assert str(verify(card)) == "damaged: absent: dataset.json"


# Cards


def test_every_card_can_be_read() -> None:
    assert {"spreadsheetbench-full", "spreadsheetbench-verified"} <= set(benchmarks())
    folders = [load_card(name).folder for name in benchmarks()]
    assert len(set(folders)) == len(folders)
    assert len(load_card("spreadsheetbench-verified").files) == 1201


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: [", "cannot be read as YAML"),
        ("name: x", "licence: Field required"),
        ("{name: x, licence: y, folder: ../z}", "one visible folder"),
        ("{name: x, licence: y, folder: z, sources: [{url: 'http://example.org/a'}]}", "over https"),
        ("{name: x, licence: y, folder: z, sources: [{url: 'https://a.org/b', path: ../c}]}", r"without '\.\.'"),
        ("{name: x, licence: y, folder: z, checksums: absent}", "absent cannot be read"),
    ],
)
def test_malformed_cards_are_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "card.yaml").write_text(text)
    with pytest.raises(DataError, match=message):
        read_card(tmp_path / "card.yaml")


def test_an_unknown_benchmark_names_the_known_ones() -> None:
    with pytest.raises(DataError, match=r"no benchmark 'nothing'.*spreadsheetbench-full, spreadsheetbench-verified"):
        load_card("nothing")


# Commands


@pytest.mark.shared_data
def test_the_commands_on_the_real_benchmark(place: Path) -> None:
    copy = SHARED / "spreadsheetbench-verified-400.tar.xz"
    if not copy.is_file():
        pytest.skip(f"{copy} is not there")
    run = CliRunner().invoke

    result = run(data, ["fetch", "spreadsheetbench-verified", "--from", str(copy)])
    assert result.exit_code == 0, result.output
    assert "checksum right: 1,201 files" in result.output
    assert "CC-BY-SA-4.0" in result.output
    assert run(data, ["verify"]).exit_code == 0

    (place / "spreadsheetbench-verified-400/dataset.json").write_text("[]")
    result = run(data, ["verify", "spreadsheetbench-verified"])
    assert result.exit_code == 1
    assert "damaged: wrong content: dataset.json." in result.output


def test_list_shows_every_benchmark(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    (place / "spreadsheetbench-full-912").mkdir(parents=True)
    output = CliRunner().invoke(data, ["list"]).output
    rows = {name: next(line for line in output.splitlines() if f" {name} " in line) for name in benchmarks()}
    assert "damaged" in rows["spreadsheetbench-full"]
    assert "missing" in rows["spreadsheetbench-verified"]
    assert CliRunner().invoke(data, ["verify", "spreadsheetbench-verified"]).exit_code == 1
