"""One file over HTTP: resumed where it broke off, complete or not there.

What has arrived lies in a `.part` file. A later call asks the server for the rest only (`Range`), provided that the
file is still the one that was begun (`If-Range` with the entity tag kept beside it). A server that cannot do either
sends everything again, which replaces the part.
"""

import time
from collections.abc import Callable
from pathlib import Path

import httpx

from trace2skill.errors import DataError
from trace2skill.files import file_digest, write_atomic

Progress = Callable[[int, int | None], None]
"""Is told the bytes that have arrived and, where the server says so, the bytes to come in all."""

ATTEMPTS = 4
_TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})


def download(
    url: str,
    target: Path,
    *,
    sha256: str | None = None,
    progress: Progress | None = None,
    pause: float = 1.0,
    timeout: float = 60.0,
) -> None:
    """Download a file, continuing an earlier attempt.

    Args:
        url: Where it is.
        target: Where it goes; it appears there only when it is complete and its checksum is right.
        sha256: Checksum it must have; None where none is on record.
        progress: Is told how far it is.
        pause: Seconds before the second attempt; each further one waits twice as long.
        timeout: Seconds without a byte after which an attempt ends.

    Raises:
        DataError: The server refuses, the connection keeps breaking (what has arrived is kept), or the checksum
            is wrong (nothing is kept).
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    with httpx.Client(follow_redirects=True, timeout=timeout, headers={"Accept-Encoding": "identity"}) as client:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                _receive(client, url, part, progress or _silent)
                break
            except (httpx.TransportError, _TryLaterError) as error:
                if attempt == ATTEMPTS:
                    raise DataError(_broken_off(url, part, error)) from error
                time.sleep(pause * 2 ** (attempt - 1))
            except httpx.HTTPError as error:
                raise DataError(f"{url} cannot be downloaded: {error}. {_REMEDY}") from error
    if sha256 and (found := file_digest(part)) != sha256:
        _discard(part)
        raise DataError(
            f"{url} gave a file with SHA-256 {found}, but {sha256} is on record. It was thrown away. {_REMEDY}"
        )
    part.replace(target)
    _discard(part)


class _TryLaterError(Exception):
    """The server answered that it cannot serve the file now."""


_REMEDY = "A copy that you have can be given with --from."


def _broken_off(url: str, part: Path, error: Exception) -> str:
    arrived = part.stat().st_size if part.exists() else 0
    return (
        f"{url} could not be downloaded in {ATTEMPTS} attempts: {error or type(error).__name__}. {arrived:,} bytes "
        f"are kept in {part}; run the command again to continue. {_REMEDY}"
    )


def _receive(client: httpx.Client, url: str, part: Path, progress: Progress) -> None:
    """Fetch what is missing of the part file."""
    tag = _tag_file(part)
    begun = part.stat().st_size if part.exists() else 0
    known = tag.read_text(encoding="utf-8") if begun and tag.exists() else ""
    headers = {"Range": f"bytes={begun}-"} if begun else {}
    with client.stream("GET", url, headers=headers | ({"If-Range": known} if known else {})) as response:
        if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE and begun:
            # Either all of it is here already, or the part belongs to something else.
            if response.headers.get("Content-Range") == f"bytes */{begun}":
                return
            _discard(part)
            raise _TryLaterError("the partial file does not fit the one on the server")
        _check(response, url)
        if not _continues(response, begun):
            begun = 0
            etag = response.headers.get("ETag", "")
            # A weak tag does not promise the same bytes.
            write_atomic(tag, "" if etag.startswith("W/") else etag)
        length = response.headers.get("Content-Length")
        total = begun + int(length) if length and length.isdecimal() else None
        _append(response, part, begun, total, progress)


def _check(response: httpx.Response, url: str) -> None:
    if response.status_code in _TRANSIENT:
        raise _TryLaterError(f"the server answered {response.status_code} {response.reason_phrase}")
    if not response.is_success:
        answer = f"{response.status_code} {response.reason_phrase}"
        raise DataError(f"{url} cannot be downloaded: the server answered {answer}. {_REMEDY}")
    if httpx.URL(url).scheme == "https" and response.url.scheme != "https":
        raise DataError(f"{url} led to {response.url}, which is not encrypted; nothing was downloaded. {_REMEDY}")


def _continues(response: httpx.Response, begun: int) -> bool:
    sent = response.headers.get("Content-Range", "")
    return response.status_code == httpx.codes.PARTIAL_CONTENT and sent.startswith(f"bytes {begun}-")


def _append(response: httpx.Response, part: Path, begun: int, total: int | None, progress: Progress) -> None:
    arrived = begun
    progress(arrived, total)
    with part.open("ab" if begun else "wb") as file:
        # Without a chunk size, since what httpx gathers for a chunk is lost when the connection breaks.
        for chunk in response.iter_raw():
            file.write(chunk)
            arrived += len(chunk)
            progress(arrived, total)


def _tag_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.etag")


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _tag_file(part).unlink(missing_ok=True)


def _silent(arrived: int, total: int | None) -> None:
    """Tells nobody."""
