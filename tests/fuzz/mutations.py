"""Bytes that are almost right: real files, changed in their bytes or in their structure."""

import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

ODD: tuple[Any, ...] = (
    None,
    True,
    "",
    0,
    -1,
    10**400,
    1e308 * 10,
    float("nan"),
    [],
    {},
    [[[[[]]]]],
    "x" * 5000,
    "\ud800",
    "\0",
    "../../etc/passwd",
    "9" * 5000,
    "1e400",
    [None] * 50,
    {"": {"": ""}},
)
"""Values that readers do not expect, wherever they stand."""

TOKENS = (
    b"\0",
    b"\xff\xfe",
    b"---\n",
    b"*a",
    b"&a ",
    b"!!bool ",
    b"{",
    b"[" * 200,
    b'"',
    b"\n",
    b"1e999",
    b"NaN",
    b"PK\x01\x02",
)


@st.composite
def broken(draw: DrawFn, seeds: Sequence[bytes]) -> bytes:
    """A seed in which some bytes are changed, cut out, doubled or put in."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, max(len(data) - 1, 0)))
        length = draw(st.integers(1, 40))
        match draw(st.sampled_from(["change", "cut", "double", "put", "end"])):
            case "change":
                data[start : start + 1] = bytes([draw(st.integers(0, 255))])
            case "cut":
                del data[start : start + length]
            case "double":
                data[start:start] = data[start : start + length]
            case "put":
                data[start:start] = draw(st.sampled_from(TOKENS) | st.binary(max_size=20))
            case "end":
                del data[start:]
    return bytes(data)


@st.composite
def altered(draw: DrawFn, value: Any) -> Any:
    """A JSON value of which parts are replaced, removed or doubled."""
    copy = deepcopy(value)
    for _ in range(draw(st.integers(1, 3))):
        inner: Any = copy
        while isinstance(inner, dict | list) and inner:
            key = (
                draw(st.sampled_from(sorted(inner)))
                if isinstance(inner, dict)
                else draw(st.integers(0, len(inner) - 1))
            )
            if not (isinstance(inner[key], dict | list) and inner[key]) or draw(st.integers(0, 3)) == 0:
                match draw(st.sampled_from(["replace", "replace", "remove", "double"])):
                    case "replace":
                        inner[key] = deepcopy(draw(st.sampled_from(ODD)))
                    case "remove":
                        del inner[key]
                    case "double" if isinstance(inner, list):
                        inner.append(deepcopy(inner[key]))
                break
            inner = inner[key]
    return copy


@st.composite
def zipped(draw: DrawFn, seeds: Sequence[bytes], change: Callable[[bytes], SearchStrategy[bytes]]) -> bytes:
    """A zip of which one member is changed, and then perhaps the bytes of the whole."""
    with zipfile.ZipFile(io.BytesIO(draw(st.sampled_from(seeds)))) as source:
        names = list(dict.fromkeys(source.namelist()))
        members = {name: source.read(name) for name in names}
    name = draw(st.sampled_from(names))
    members[name] = draw(change(members[name]))
    if draw(st.integers(0, 9)) == 0:
        del members[draw(st.sampled_from(names))]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", draw(st.sampled_from([zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED]))) as target:
        for member, content in members.items():
            target.writestr(member, content)
    whole = packed.getvalue()
    return draw(broken([whole])) if draw(st.integers(0, 2)) == 0 else whole


def json_or_bytes(content: bytes) -> SearchStrategy[bytes]:
    """A JSON member, changed in its structure or its bytes."""
    try:
        value = json.loads(content)
    except ValueError:
        return broken([content])
    return altered(value).map(lambda changed: json.dumps(changed).encode()) | broken([content])


def tar_of(members: dict[str, bytes], mode: str) -> bytes:
    """A tar archive."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def gzipped(content: bytes) -> bytes:
    """Gzipped, the same each time."""
    return gzip.compress(content, mtime=0)
