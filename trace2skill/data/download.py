"""What a source gives: addresses by `pooch`, files of the hub by `huggingface_hub`, rows of data sets by `datasets`.

Files of the hub stay in its cache (`HF_HOME`), where an interrupted download continues. `pooch` starts a file anew.
The libraries take long to import, so that happens only when something is downloaded.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urljoin

from trace2skill.data.places import data_dir
from trace2skill.data.sources import HubFile, HubRows, UrlSource, check_encrypted
from trace2skill.errors import DataError
from trace2skill.files import file_digest

DOWNLOADS = ".downloads"
"""Folder below the data folder for what has been downloaded and is not yet in place."""

ATTEMPTS = 4
_TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
_REMEDY = "A copy that you have can be given with --from."
_TYPES = {"jsonl": "json"}


def download(source: UrlSource | HubFile, *, force: bool = False) -> Path:
    """Download an archive or file, unless it is there from an earlier call.

    Args:
        source: What to download.
        force: Download it although it is there.

    Returns:
        Where it is. What came from an address belongs to the caller, what came from the hub to the hub's cache.

    Raises:
        DataError: It cannot be had, or has another checksum than the one on the card.
    """
    if isinstance(source, UrlSource):
        return _from_address(source, force)
    with _hub(source):
        path = _from_hub(source.repo, source.file, source.revision, force)
    if source.sha256 and (found := file_digest(path)) != source.sha256:
        raise DataError(
            f"{source.address} gave a file with SHA-256 {found}, but {source.sha256} is on record. --force downloads "
            f"it again. {_REMEDY}"
        )
    return path


def read_rows(source: HubRows, *, copy: Path | None = None, force: bool = False) -> Iterator[dict[str, Any]]:
    """The rows of a data set on the hub; only the files of the split are downloaded. An image is {bytes, path}.

    Args:
        source: Which rows.
        copy: A local copy of the repository to read instead.
        force: Download its files although they are there.

    Raises:
        DataError: They cannot be had, or there is no such configuration or split.
    """
    import datasets
    from datasets.exceptions import DatasetsError

    with _hub(source, DatasetsError, copy=copy):
        if copy:
            builder = datasets.load_dataset_builder(str(copy), source.config)
        else:
            builder = datasets.load_dataset_builder(source.repo, source.config, revision=source.revision)
        splits: dict[str, list[str]] = dict(builder.config.data_files or {})
        if source.split not in splits:
            raise DataError(f"{source.address} has the splits {', '.join(splits) or 'none'}. Check the card. {_REMEDY}")
        files = [str(_local(source, place, force)) for place in splits[source.split]]
        suffix = Path(files[0]).suffix.lstrip(".")
        rows = datasets.load_dataset(_TYPES.get(suffix, suffix), data_files=files, split="train", streaming=True)
        for name, feature in (rows.features or {}).items():
            if isinstance(feature, datasets.Image):
                rows = rows.cast_column(name, datasets.Image(decode=False))
        yield from rows


def _local(source: HubRows, place: str, force: bool) -> Path:
    """A data file by its path, or by an address such as hf://datasets/OWNER/NAME@COMMIT/FILE."""
    if not place.startswith(prefix := f"hf://datasets/{source.repo}@"):
        return Path(place)
    commit, file = place.removeprefix(prefix).split("/", 1)
    return _from_hub(source.repo, file, commit, force)


def _from_address(source: UrlSource, force: bool) -> Path:
    import pooch
    import requests

    key = f"{sha256(source.address.encode()).hexdigest()[:12]}-{PurePosixPath(source.address).name}"
    folder = data_dir() / DOWNLOADS
    if force:
        (folder / key).unlink(missing_ok=True)
    pooch.get_logger().setLevel("WARNING")
    store = pooch.create(
        folder,
        base_url="",
        registry={key: source.sha256},
        urls={key: source.address},
        retry_if_failed=ATTEMPTS - 1,
    )
    # Packed in transit, a file would be unpacked on arrival and have another checksum.
    loader = pooch.HTTPDownloader(
        progressbar=sys.stderr.isatty(),
        chunk_size=1 << 16,
        timeout=60,
        headers={"Accept-Encoding": "identity"},
        hooks={"response": _check_answer},
    )
    try:
        return Path(store.fetch(key, downloader=loader))
    except requests.RequestException as error:
        raise DataError(
            f"{source.address} could not be downloaded in {ATTEMPTS} attempts: {error}. Try again later. {_REMEDY}"
        ) from error
    except ValueError as error:
        raise DataError(f"{source.address} is not what is on record: {error} {_REMEDY}") from error


def _check_answer(response: Any, **_: Any) -> None:
    """Ends a download at once where trying again cannot help: `requests` calls this for each answer."""
    if response.is_redirect:
        try:
            check_encrypted(urljoin(response.url, response.headers["Location"]))
        except ValueError as error:
            raise DataError(f"{response.url} leads to another place, but {error}. {_REMEDY}") from error
    elif response.status_code >= 400 and response.status_code not in _TRANSIENT:
        answer = f"{response.status_code} {response.reason}"
        raise DataError(f"{response.url} cannot be downloaded: the server answered {answer}. {_REMEDY}")


def _from_hub(repo: str, file: str, revision: str, force: bool) -> Path:
    from huggingface_hub import hf_hub_download

    return Path(hf_hub_download(repo, file, repo_type="dataset", revision=revision, force_download=force))


@contextmanager
def _hub(source: HubFile | HubRows, *errors: type[Exception], copy: Path | None = None) -> Iterator[None]:
    """Turns what can go wrong with the hub, or with a copy of a repository, into one message."""
    import httpx2
    from huggingface_hub import constants
    from huggingface_hub.errors import XetDownloadError

    caught: tuple[type[Exception], ...] = (OSError, ValueError, httpx2.HTTPError, XetDownloadError, *errors)
    try:
        check_encrypted(constants.ENDPOINT)
        yield
    except caught as error:
        reason = (" ".join(str(error).split()) or type(error).__name__).rstrip(".")
        if copy:
            raise DataError(f"{source.address} could not be read from {copy}: {reason}. Copy it anew.") from error
        raise DataError(
            f"{source.address} could not be fetched from {constants.ENDPOINT}: {reason}. Run the command again to "
            "continue what was interrupted; HF_ENDPOINT names a mirror, HF_TOKEN a token where one is asked for. "
            f"{_REMEDY}"
        ) from error
