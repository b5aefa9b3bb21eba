"""Bytes that others made, opened within limits.

Everything that a stranger may have written comes through here: regular files only, and never more of one than fits
the machine. What goes too far is a `ForeignError`, a `ValueError` whose text names the file, the limit and what to do;
the reader that met it makes its own error of it. The limits themselves stand with the readers, each with its reason.
"""

import io
import json
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import IO, Any, NamedTuple

import yaml
import zstandard

MAX_NESTING = 100
"""Lists and mappings of a JSON or YAML value may be nested so deep; honest ones stay below 20, and Python's own
functions give up at some 300."""

MAX_STRING = 32 << 20
"""A string in JSON may take this; an image takes 5 MB, and Inspect's reader takes the square of the length in time."""

MAX_YAML_BYTES = 1 << 20
"""A YAML text may take this; PyYAML reads about one in a second, and the largest here has 10 kB."""

MAX_YAML_NODES = 10_000
"""A YAML text may hold so many values; the largest here has 200."""

MAX_ENTRIES = 1_000_000
"""A zip may hold so many entries; a log has about two for each sample."""

_CHUNK = 1 << 16
_STEPS = dict(zip(b"[{]}", (1, 1, -1, -1), strict=True))
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_ZSTANDARD = 93
_GZIP = b"\x1f\x8b"
_END, _END_64, _LOCATOR_64 = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"


class ForeignError(ValueError):
    """Foreign bytes cannot be read, or go beyond a limit; the text is a message for the user."""


class Cap(NamedTuple):
    """How much JSON is read."""

    bytes: int
    values: int
    """Commas and opening brackets outside strings: an upper bound of the objects that Python makes."""


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a regular file for reading; a link to one counts.

    Raises:
        ForeignError: It is missing, may not be read, or is a folder, pipe, device or socket, which is never read.
    """
    try:
        _check_regular(path, path.stat().st_mode)
        # Between the look and the opening it could become a pipe, on which an ordinary opening would wait for ever.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC), "rb") as file:
            _check_regular(path, os.fstat(file.fileno()).st_mode)
            yield file
    except OSError as error:
        raise ForeignError(f"{path} cannot be read: {error.strerror or error}.") from error


def _check_regular(path: Path, mode: int) -> None:
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    if not stat.S_ISREG(mode):
        raise ForeignError(f"{path} is {kinds.get(stat.S_IFMT(mode), 'a device')}; a regular file is needed.")


def read(path: Path, most: int) -> bytes:
    """The content of a regular file.

    Raises:
        ForeignError: It cannot be read, or has more than `most` bytes.
    """
    with opened(path) as file:
        # A sparse file is as long as it says, and some files of the system longer than they say.
        if os.fstat(file.fileno()).st_size > most or len(data := file.read(most + 1)) > most:
            raise beyond(path, "bytes", most)
    return data


def unpacked(data: bytes, where: Path | str, most: int) -> bytes:
    """The content of gzipped data; other data as they are.

    Raises:
        ForeignError: They are damaged, or unpack to more than `most` bytes.
    """
    if not data.startswith(_GZIP):
        return data
    content = bytearray()
    try:
        # One member after the other, as gzip files may be put together.
        while data.rstrip(b"\0"):
            inflating = zlib.decompressobj(wbits=31)
            content += inflating.decompress(data, most + 1 - len(content))
            if len(content) > most:
                raise beyond(where, "bytes when unpacked", most)
            if not inflating.eof:
                raise ForeignError(f"{where} is damaged: its gzipped data end early.")
            data = inflating.unused_data
    except zlib.error as error:
        raise ForeignError(f"{where} is damaged: {error}.") from error
    return bytes(content)


def json_value(data: bytes | str, where: Path | str, cap: Cap) -> Any:
    """The value of a JSON text.

    Raises:
        ForeignError: It is no JSON, or goes beyond the cap or `MAX_NESTING`.
    """
    _Counter(where, cap).count(data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data)
    try:
        return json.loads(data)
    except ValueError as error:
        raise ForeignError(f"{where} cannot be read: it is not JSON ({error}).") from error


def json_lines(data: bytes, where: Path | str, cap: Cap) -> Iterator[tuple[int, Any]]:
    """The values of lines that hold JSON, each with the number of its line; the cap is for all together.

    Raises:
        ForeignError: One is no JSON, or they go beyond the cap or `MAX_NESTING`.
    """
    counter = _Counter(where, cap)
    for number, line in enumerate(data.splitlines(keepends=True), start=1):
        counter.count(line)
        if line.strip():
            try:
                yield number, json.loads(line)
            except ValueError as error:
                raise ForeignError(f"{where}, line {number} cannot be read: it is not JSON ({error}).") from error


def separated(path: Path, cap: Cap, separators: bytes) -> str:
    """The text of a table in UTF-8.

    Args:
        path: The file.
        cap: How much it may hold; of values, the characters that end one are counted.
        separators: These characters.

    Raises:
        ForeignError: It cannot be read, is not UTF-8, or goes beyond the cap.
    """
    data = read(path, cap.bytes)
    if sum(map(data.count, separators)) > cap.values:
        raise beyond(path, "values", cap.values)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ForeignError(f"{path} cannot be read: it is not UTF-8 ({error}).") from error


class _Counter:
    """Counts bytes, values and levels of JSON that comes in pieces, without making the values."""

    def __init__(self, where: Path | str, cap: Cap) -> None:
        self._where, self._cap = where, cap
        self._bytes = self._values = self._level = self._length = 0
        self._in_string = self._escaped = False

    def count(self, piece: bytes) -> None:
        self._bytes += len(piece)
        if self._bytes > self._cap.bytes:
            raise beyond(self._where, "bytes", self._cap.bytes)
        structure = self._outside_strings(piece)
        self._values += structure.count(b",") + structure.count(b"[") + structure.count(b"{")
        if self._values > self._cap.values:
            raise beyond(self._where, "values", self._cap.values)
        for level in accumulate(map(_STEPS.__getitem__, structure.translate(None, _NO_BRACKETS)), initial=self._level):
            self._level = level
            if level > MAX_NESTING:
                raise beyond(self._where, "levels of nested lists and objects", MAX_NESTING)

    def _outside_strings(self, piece: bytes) -> bytes:
        text = piece[self._escaped :]
        self._escaped = (len(text) - len(text.rstrip(b"\\"))) % 2 == 1
        if self._escaped:
            text = text[:-1]
        # Without escapes every other part between quotes is outside of strings.
        parts = text.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
        outside = b"".join(parts[self._in_string :: 2])
        # A string that began in an earlier piece goes on in the first part.
        strings = [len(part) for part in parts[not self._in_string :: 2]]
        if self._in_string and strings:
            strings[0] += self._length
        if max(strings, default=0) > MAX_STRING:
            raise beyond(self._where, "bytes in one string", MAX_STRING)
        self._in_string ^= len(parts) % 2 == 0
        self._length = strings[-1] if self._in_string else 0
        return outside


def check_json(path: Path, cap: Cap) -> None:
    """Look over a JSON file that another library is going to read.

    Raises:
        ForeignError: It cannot be read, or goes beyond the cap.
    """
    counter = _Counter(path, cap)
    with opened(path) as file:
        while piece := file.read(1 << 20):
            counter.count(piece)


def yaml_value(text: str, where: Path | str, loader: type[yaml.BaseLoader | yaml.SafeLoader] = yaml.SafeLoader) -> Any:
    """The value of a YAML text, without aliases.

    Args:
        text: One document.
        where: Names it in messages.
        loader: Which scalars are more than strings; PyYAML's `SafeLoader` or `BaseLoader`.

    Raises:
        ForeignError: It has aliases, whose values could multiply, or goes beyond `MAX_YAML_BYTES`, `MAX_YAML_NODES` or
            `MAX_NESTING`, or a scalar is not what its tag says.
        yaml.YAMLError: It is no YAML.
    """
    if len(text) > MAX_YAML_BYTES:
        raise beyond(where, "characters of YAML", MAX_YAML_BYTES)
    _check_events(text, where)
    try:
        return yaml.load(text, Loader=loader)
    except (ValueError, LookupError, AttributeError, TypeError) as error:
        # PyYAML converts scalars unguarded: 2001-99-99, !!bool perhaps, !!timestamp tomorrow, a number of 5,000 digits.
        raise ForeignError(f"{where} is not valid YAML: a value is not of its type ({error}).") from error


def _check_events(text: str, where: Path | str) -> None:
    nodes = depth = 0
    for event in yaml.parse(text, Loader=yaml.BaseLoader):
        if isinstance(event, yaml.AliasEvent):
            raise ForeignError(f"{where} has an alias, *{event.anchor}, which is not taken. Write its value out.")
        nodes += isinstance(event, yaml.NodeEvent)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if nodes > MAX_YAML_NODES:
            raise beyond(where, "values of YAML", MAX_YAML_NODES)
        if depth > MAX_NESTING:
            raise beyond(where, "levels of nested lists and mappings", MAX_NESTING)


def walk(folder: Path, *, entries: int, depth: int, ignored: frozenset[str] = frozenset()) -> Iterator[Path]:
    """Everything but the folders below a folder, sorted; links are not followed.

    Args:
        folder: Where to begin.
        entries: So many files and folders may be there.
        depth: So deep may folders be nested.
        ignored: Names that are left out, with all below them.

    Raises:
        ForeignError: There are more, or they are nested deeper.
        OSError: A folder cannot be listed.
    """
    count = 0
    waiting = [(folder, 0)]
    while waiting:
        path, level = waiting.pop()
        if level and not (path.is_dir() and not path.is_symlink()):
            yield path
            continue
        if level > depth:
            raise beyond(folder, "levels of nested folders", depth)
        names = []
        with os.scandir(path) as listing:
            for entry in listing:
                count += 1
                if count > entries:
                    raise beyond(folder, "files and folders", entries)
                names.append(entry.name)
        waiting += [(path / name, level + 1) for name in sorted(set(names) - ignored, reverse=True)]


def check_zip(path: Path, cap_of: Callable[[str], Cap | None]) -> None:
    """Look over entries of a zip, which hold JSON, before another library reads them whole.

    They are unpacked here and thrown away, a piece at a time: what an entry declares to be its size binds nobody.
    A file that two readers could take for different archives is refused.

    Args:
        path: The file.
        cap_of: For an entry's name how much it may hold; None for an entry that is not going to be read.

    Raises:
        ForeignError: It is damaged, ambiguous, has too many entries, or one of them goes beyond its cap.
    """
    with opened(path) as file:
        try:
            _check_directory(path, file)
            with zipfile.ZipFile(file) as zipped:
                for entry in zipped.infolist():
                    if cap := cap_of(entry.orig_filename):
                        _check_entry(path, file, entry, cap)
        except (zipfile.BadZipFile, zlib.error, zstandard.ZstdError, struct.error, UnicodeError, EOFError) as error:
            raise ForeignError(f"{path} is damaged or no zip archive: {error}.") from error


def _check_directory(path: Path, file: IO[bytes]) -> None:
    """Whether the directory is of an honest size and lies where every reader looks for it."""
    length = file.seek(0, io.SEEK_END)
    end = length - 22
    file.seek(max(end, 0))
    tail = file.read()
    if end < 0 or not tail.startswith(_END) or tail[-2:] != b"\0\0":
        raise ForeignError(f"{path} is damaged or no zip archive: it does not end with the directory of one.")
    _, here, total, size, offset = struct.unpack("<4sHHII", tail[:4] + tail[8:20])
    file.seek(max(end - 20, 0))
    if end >= 76 and file.read(4) == _LOCATOR_64:
        end -= 76
        file.seek(end)
        large = struct.unpack("<4s20xQQQQ", file.read(56))
        if large[0] != _END_64 or any(
            small not in (value, most)
            for small, value, most in zip(
                (here, total, size, offset), large[1:], (0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF), strict=True
            )
        ):
            raise ForeignError(f"{path} is damaged: its two directories contradict each other.")
        size, offset = large[3:]
    if offset + size != end:
        raise ForeignError(f"{path} is damaged: its directory does not lie at its end.")
    if size > MAX_ENTRIES * 64:
        raise beyond(path, "entries", MAX_ENTRIES)
    file.seek(offset)
    if file.read(size).count(b"PK\x01\x02") > MAX_ENTRIES:
        raise beyond(path, "entries", MAX_ENTRIES)


def _check_entry(path: Path, file: IO[bytes], entry: zipfile.ZipInfo, cap: Cap) -> None:
    where = f"{path}, entry {entry.orig_filename!r}"
    if entry.file_size > cap.bytes or entry.compress_size > cap.bytes:
        raise beyond(where, "bytes", cap.bytes)
    file.seek(entry.header_offset)
    name, extra = struct.unpack("<26xHH", file.read(30))
    file.seek(entry.header_offset + 30 + name + extra)
    packed = file.read(entry.compress_size)
    counter = _Counter(where, cap)
    length = 0
    for piece in _pieces(packed, entry.compress_type, where):
        counter.count(piece)
        length += len(piece)
    if length != entry.file_size:
        raise ForeignError(f"{where} declares {entry.file_size:,} bytes and has {length:,}. Get the file anew.")


def _pieces(packed: bytes, method: int, where: str) -> Iterator[bytes]:
    """What an entry unpacks to, in pieces of bounded size."""
    if method == zipfile.ZIP_DEFLATED:
        inflating = zlib.decompressobj(-15)
        for start in range(0, len(packed), _CHUNK):
            rest = packed[start : start + _CHUNK]
            while rest and not inflating.eof:
                yield inflating.decompress(rest, 1 << 20)
                rest = inflating.unconsumed_tail
        yield inflating.flush()
    elif method == _ZSTANDARD:
        with zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True) as reader:
            while piece := reader.read(1 << 20):
                yield piece
    elif method == zipfile.ZIP_STORED:
        yield packed
    else:
        raise ForeignError(f"{where} is packed by a method that Inspect does not read.")


def beyond(where: Path | str, what: str, most: int) -> ForeignError:
    """The error of whatever goes beyond a limit."""
    return ForeignError(
        f"{where} has more than {most:,} {what}, which nothing of its kind needs; it was not read. "
        "Make it smaller, or get it anew."
    )
