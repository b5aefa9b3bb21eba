import io
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from trace2skill.cli.data import data
from trace2skill.data import unpack
from trace2skill.data.cards import Card, benchmarks, load_card, read_card
from trace2skill.data.download import ATTEMPTS
from trace2skill.data.fetch import fetch
from trace2skill.data.sources import UrlSource
from trace2skill.data.verify import verify
from trace2skill.errors import DataError

SHARED = Path(__file__).parents[3] / "../shared/data/spreadsheetbench"

REVISION = "0123abc"
CONTENTS = {"dataset.json": b"[1, 2]", "spreadsheet/1/1_1_init.xlsx": b"init" * 50_000}
CHECKSUMS = {path: sha256(content).hexdigest() for path, content in CONTENTS.items()}


@dataclass
class Served:
    """What a path of the test server gives, and how it misbehaves."""

    content: bytes
    cut_after: int | None = None
    cuts: int = 0
    failures: int = 0
    redirect: str = ""
    meanwhile: Callable[[], None] | None = None
    requests: int = 0


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    served: dict[str, Served]

    def log_message(self, *args: object) -> None: ...

    def do_GET(self) -> None:
        served = self.served.get(self.path)
        if served is None:
            self.send_error(404)
            return
        served.requests += 1
        if served.failures:
            served.failures -= 1
            self.send_error(503)
            return
        if served.meanwhile:
            served.meanwhile()
        self.send_response(302 if served.redirect else 200)
        if served.redirect:
            self.send_header("Location", served.redirect)
        self.send_header("Content-Length", str(len(served.content)))
        self.end_headers()
        body = served.content
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
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts follow each other at once."""
    monkeypatch.setattr("pooch.core.time.sleep", lambda seconds: None)


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
    source = UrlSource(url=f"{server.address}/{{revision}}.tar.gz", revision=REVISION)
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
    assert served.requests == 1


def test_single_files_and_patterns(server: Server, place: Path) -> None:
    server.give("/r1/train.parquet", b"rows")
    server.give("/a.zip", zip_of({"data/a.tsv": b"a", "data/b.txt": b"b", "csv/1/2.csv": b"c"}))
    sources = (
        UrlSource(url=f"{server.address}/{{revision}}/train.parquet", revision="r1", path="deep/train.parquet"),
        UrlSource(url=f"{server.address}/a.zip", only=("data/*.tsv", "csv/*")),
    )

    found = fetch(Card(name="Bench", licence="none", folder="bench", marker="data/a.tsv", sources=sources))

    assert contents_of(place / "bench") == {"deep/train.parquet": b"rows", "data/a.tsv": b"a", "csv/1/2.csv": b"c"}
    assert str(found) == "there (not checked, no checksum on record: 3 files)"


def test_a_broken_transfer_and_an_overloaded_server_are_tried_again(server: Server, place: Path) -> None:
    served = server.give(f"/{REVISION}.tar.gz", tar_of(upstream(), mode="w"))
    served.cut_after, served.cuts, served.failures = 60_000, 2, 1

    fetch(archive_card(server))

    assert served.requests == ATTEMPTS
    assert contents_of(place / "bench") == CONTENTS


def test_a_download_that_keeps_breaking_leaves_nothing(server: Server, place: Path) -> None:
    served = server.give(f"/{REVISION}.tar.gz", tar_of(upstream(), mode="w"))
    served.cut_after, served.cuts = 1000, ATTEMPTS

    with pytest.raises(DataError, match=r"in 4 attempts: .* Try again later.*--from"):
        fetch(archive_card(server))
    assert not (place / "bench").exists()
    assert leftovers(place) == []

    fetch(archive_card(server))
    assert contents_of(place / "bench") == CONTENTS


def test_what_was_downloaded_before_a_later_source_failed_is_used_again(server: Server, place: Path) -> None:
    first = server.give("/first", b"1")
    sources = tuple(UrlSource(url=f"{server.address}/{name}", path=name) for name in ("first", "second"))
    card = Card(name="Bench", licence="none", folder="bench", sources=sources)
    with pytest.raises(DataError, match="second cannot be downloaded"):
        fetch(card)
    server.give("/second", b"2")

    fetch(card)
    assert first.requests == 1
    assert leftovers(place) == []

    fetch(card, force=True)
    assert first.requests == 2


def test_what_a_mac_adds_to_an_archive_is_left_out(server: Server, place: Path) -> None:
    folder = f"repo-{REVISION}/data/bench"
    server.give(
        f"/{REVISION}.tar.gz", tar_of({f"{folder}/._dataset.json": b"", f"{folder}/.DS_Store": b""} | upstream())
    )
    fetch(archive_card(server))
    assert contents_of(place / "bench") == CONTENTS


# Refusals


def test_an_address_that_gives_nothing(server: Server, place: Path) -> None:
    with pytest.raises(DataError, match=r"0123abc\.tar\.gz cannot be downloaded: the server answered 404.*--from"):
        fetch(archive_card(server))
    assert leftovers(place) == []


def file_card(url: str, **fields: str) -> Card:
    return Card(name="Bench", licence="none", folder="bench", sources=(UrlSource(url=url, path="file", **fields),))


def test_no_server_at_all() -> None:
    with pytest.raises(DataError, match="in 4 attempts"):
        fetch(file_card("http://127.0.0.1:9/file"))


def test_a_download_with_the_wrong_checksum_is_thrown_away(server: Server, place: Path) -> None:
    server.give("/file", b"content")
    with pytest.raises(DataError, match=r"is not what is on record: .*0000"):
        fetch(file_card(f"{server.address}/file", sha256="0" * 64))
    assert leftovers(place) == []


def test_a_way_that_is_not_encrypted_is_not_taken(server: Server, place: Path) -> None:
    server.give("/moved", b"").redirect = "/file"
    server.give("/open", b"").redirect = "http://example.org/file"
    server.give("/file", b"content")

    fetch(file_card(f"{server.address}/moved"))
    assert contents_of(place / "bench") == {"file": b"content"}
    with pytest.raises(
        DataError, match=r"leads to another place, but .* over https, not from http://example\.org/file"
    ):
        fetch(file_card(f"{server.address}/open"), force=True)
    assert contents_of(place / "bench") == {"file": b"content"}


def test_files_with_the_wrong_checksum_leave_what_was_there(server: Server, place: Path) -> None:
    (place / "bench").mkdir(parents=True)
    (place / "bench/dataset.json").write_bytes(b"older")
    server.give(f"/{REVISION}.tar.gz", tar_of(upstream() | {f"repo-{REVISION}/data/bench/dataset.json": b"other"}))

    with pytest.raises(DataError, match=r"damaged \(wrong content: dataset\.json\)\."):
        fetch(archive_card(server))

    assert contents_of(place / "bench") == {"dataset.json": b"older"}
    assert leftovers(place) == []


@pytest.mark.parametrize("mode", ["w:gz", "w:xz", "w"])
def test_a_corrupted_archive_is_thrown_away_and_fetched_again(server: Server, place: Path, mode: str) -> None:
    whole = tar_of(upstream(), mode=mode)
    served = server.give(f"/{REVISION}.tar.gz", whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"is damaged or no archive.* download it again"):
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
        tar.addfile(tarfile.TarInfo(f"repo-{REVISION}/data/bench/dataset.json"))
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
    with pytest.raises(DataError, match=r"holds no spreadsheet/1/1_1_init\.xlsx"):
        fetch(archive_card(server, marker="spreadsheet/1/1_1_init.xlsx"))


def test_a_second_fetch_at_the_same_time_is_refused(server: Server) -> None:
    served = server.give(f"/{REVISION}.tar.gz", tar_of(upstream()))
    refused: list[str] = []

    def meanwhile() -> None:
        try:
            fetch(archive_card(server))
        except DataError as error:
            refused.append(str(error))

    served.meanwhile = meanwhile
    assert fetch(archive_card(server)).state == "there"
    assert len(refused) == 1
    assert "Another process is fetching Bench" in refused[0]


# Archives that are no honest ones


def test_an_archive_that_unpacks_to_far_more_than_its_size(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "SMALL", 1 << 20)
    bomb = upstream() | {"elsewhere": bytes(4 << 20)}
    server.give(f"/{REVISION}.tar.gz", tar_of(bomb))
    with pytest.raises(DataError, match=r"claims to hold more than 1,000,000 files or 1,048,576 bytes"):
        fetch(archive_card(server))
    server.give(f"/{REVISION}.tar.gz", tar_of(bomb, mode="w"))
    assert fetch(archive_card(server)).state == "there"


def nameless(name: str) -> bytes:
    """A zip with a file whose name `zipfile` would not write."""
    content = io.BytesIO(zip_of(upstream()))
    with zipfile.ZipFile(content, "a") as zipped:
        entry = zipfile.ZipInfo("replaced")
        entry.filename = name
        zipped.writestr(entry, b"text")
    return content.getvalue()


@pytest.mark.parametrize("name", ["", "."])
@pytest.mark.parametrize("pack", [lambda name: tar_of(upstream() | {name: b"text"}), nameless], ids=["tar", "zip"])
def test_a_file_without_a_name(server: Server, pack: Callable[[str], bytes], name: str) -> None:
    server.give(f"/{REVISION}.tar.gz", pack(name))
    with pytest.raises(DataError, match="is damaged: a file in it has no name"):
        fetch(archive_card(server))


def test_an_archive_of_very_many_files(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "MAX_MEMBERS", 2)
    server.give(f"/{REVISION}.tar.gz", zip_of(upstream()))
    with pytest.raises(DataError, match="claims to hold more than 2 files"):
        fetch(archive_card(server))


def test_a_member_of_a_zip_that_lies_about_its_size(server: Server) -> None:
    packed = bytearray(zip_of(upstream()))
    size = (200_000).to_bytes(4, "little")
    assert packed.count(size) == 4  # both sizes in the member's own header and in the directory
    server.give(f"/{REVISION}.tar.gz", bytes(packed.replace(size, (150_000).to_bytes(4, "little"))))
    with pytest.raises(DataError, match="is damaged or no archive"):
        fetch(archive_card(server))


def test_a_tar_with_a_huge_name_or_a_hole(server: Server) -> None:
    for entry_type, size, message in (
        (tarfile.XHDTYPE, 2 << 20, "damaged or no"),
        (tarfile.GNUTYPE_SPARSE, 0, "link or"),
    ):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
            for path, content in upstream().items():
                entry = tarfile.TarInfo(path)
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
            odd = tarfile.TarInfo(f"repo-{REVISION}/data/bench/odd")
            odd.type, odd.size = entry_type, size
            tar.addfile(odd, io.BytesIO(bytes(size)))
        server.give(f"/{REVISION}.tar.gz", buffer.getvalue())
        with pytest.raises(DataError, match=message):
            fetch(archive_card(server))


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
    source = UrlSource(url=f"{server.address}/train.parquet", path="train.parquet")
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
    with pytest.raises(DataError, match="damaged or no archive: a tar or zip file begins"):
        fetch(archive_card(server), copy=copy)
    copy.write_bytes(tar_of({"other": b""}))
    with pytest.raises(DataError, match=r"holds no dataset\.json"):
        fetch(archive_card(server), copy=copy)
    copy.write_bytes(tar_of({"dataset.json": b"wrong"}))
    with pytest.raises(DataError, match=r"absent: spreadsheet/1/1_1_init\.xlsx; wrong content: dataset\.json"):
        fetch(archive_card(server), copy=copy)


# Verifying


def test_lines_that_a_source_words_otherwise(server: Server, place: Path, tmp_path: Path) -> None:
    said = sha256(b'["1", 5]\n["2", 7]').hexdigest()
    records = {"a.jsonl": {"fields": ["id", "answer"], "sha256": said}}
    card = archive_card(server, files={"a.jsonl": "0" * 64}, records=records)
    (tmp_path / "copy").mkdir()
    lines = ['{"id": "1", "problem": "two\u2028lines", "answer": 5}', "", '{"answer": 7, "id": "2"}']
    (tmp_path / "copy/a.jsonl").write_text("\n".join(lines), encoding="utf-8")

    assert str(fetch(card, copy=tmp_path / "copy")).startswith("there (ids and answers right, but worded otherwise")
    for wrong in ('{"id": "1", "answer": 5}', "[]", "no JSON", '{"id": "1"}'):
        (place / "bench/a.jsonl").write_text(wrong)
        assert verify(card).wrong == ("a.jsonl",)
    (place / "bench/a.jsonl").unlink()
    assert verify(card).absent == ("a.jsonl",)


def test_what_verify_finds(server: Server, place: Path, tmp_path: Path) -> None:
    card = archive_card(server)
    assert verify(card).state == "missing"
    copy = tmp_path / "copy"
    copy.write_bytes(tar_of(CONTENTS))
    fetch(card, copy=copy)
    (place / "bench/notes.txt").write_bytes(b"mine")
    assert str(verify(card)) == "there (checksum right: 2 files; not checked, no checksum on record: 1 files)"
    (place / "bench/dataset.json").write_bytes(b"[1, 3]")
    found = verify(card)
    assert (found.state, found.wrong, found.absent) == ("damaged", ("dataset.json",), ())
    assert verify(card, contents=False).state == "there"
    (place / "bench/dataset.json").unlink()
    assert verify(card, contents=False).state == "damaged"
    assert str(verify(card)) == "damaged (absent: dataset.json)"


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
        ("{name: x, licence: y, folder: z, checksums: absent}", "absent, which belongs to a card, cannot be read"),
        ("{name: x, licence: y, folder: z, sources: [a]}", "sources"),
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
    assert "damaged (wrong content: dataset.json)." in result.output


def test_list_shows_every_benchmark(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    (place / "spreadsheetbench-full-912").mkdir(parents=True)
    listed = CliRunner().invoke(data, ["list"])
    rows = {name: next(line for line in listed.output.splitlines() if f"{name} " in line) for name in benchmarks()}
    assert listed.exit_code == CliRunner().invoke(data, ["verify"]).exit_code == 1
    assert listed.stderr == CliRunner().invoke(data, ["verify"]).stderr
    assert "`trace2skill data fetch spreadsheetbench-full`" in listed.stderr
    assert "damaged" in rows["spreadsheetbench-full"]
    assert "missing" in rows["spreadsheetbench-verified"]
    assert CliRunner().invoke(data, ["verify", "spreadsheetbench-verified"]).exit_code == 1
