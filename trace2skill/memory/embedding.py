"""How near two queries are: by words (BM25), or by vectors of an embedding model.

A bank says which embedder its queries were embedded with, and never where that is found: addresses, keys and paths come
from the user, as `--embedder` or in the environment.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, Protocol
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from trace2skill.errors import BankError, ServerError
from trace2skill.memory.bank import MAX_DIMENSION, Bank, Vectors

if TYPE_CHECKING:
    from openai import OpenAI

EMBEDDER_VARIABLE = "TRACE2SKILL_EMBEDDER"
"""Environment variable that says where the embedder of a bank is found, in the form of `--embedder`."""

KEY_VARIABLE = "TRACE2SKILL_EMBEDDER_KEY"
"""Environment variable with the key of an embedding server, where it wants one."""

INSTRUCTION = "Instruct: Given a task, find past tasks whose experience helps with it.\nQuery: "
"""Goes before a query, not before what a bank holds, where a model was trained with instructions (Qwen3-Embedding)."""

BATCH = 32
"""Texts in one call of an embedding server."""

CHARACTERS = 24_000
"""A query is cut to this before it is embedded: the models take some 8,000 tokens."""

SECONDS = 120.0
"""Time for one call of an embedding server."""

SAME = 0.99
"""Cosine from which two vectors of one text count as made by the same model; servers differ in the last digits."""

Scores = NDArray[np.float32]

_found_at: ContextVar[str] = ContextVar("_found_at", default="")


@dataclass(frozen=True, kw_only=True)
class EmbedderSpec:
    """An embedder as a user names it."""

    kind: Literal["bm25", "openai", "st"]
    model: str = ""
    """Name of the model, or path of its folder."""
    url: str = ""
    """Address of its server."""

    @property
    def name(self) -> str:
        """What a bank's card says of it."""
        model = Path(self.model).name if self.kind == "st" else self.model
        return f"{self.kind}:{model}" if model else self.kind


FORMS = "bm25, openai:MODEL@URL (such as openai:Qwen/Qwen3-Embedding-8B@http://localhost:8000/v1), or st:FOLDER"


def embedder_of(text: str) -> EmbedderSpec:
    """What a user has named.

    Raises:
        BankError: It has none of the forms.
    """
    kind, _, rest = text.partition(":")
    if text == "bm25":
        return EmbedderSpec(kind="bm25")
    if kind == "st" and rest:
        return EmbedderSpec(kind="st", model=str(Path(rest).expanduser().absolute()))
    model, at, url = rest.partition("@http")
    if kind == "openai" and model and at:
        if _is_bare_address(f"http{url}"):
            return EmbedderSpec(kind="openai", model=model, url=f"http{url}")
        # Nothing of the address is repeated: it may hold the key.
        raise BankError(
            f"Embedder 'openai:{model}@...': an address such as http://localhost:8000/v1 is due after @, with a number "
            f"as its port, and without user, key or query: a key goes into {KEY_VARIABLE}."
        )
    raise BankError(f"Embedder '{text.partition('@')[0]}{'@...' if '@' in text else ''}' is none of {FORMS}.")


def _is_bare_address(url: str) -> bool:
    """Whether an address can be called, and holds nothing that would be a secret in a run's records."""
    try:
        parts = urlsplit(url)
        sound = bool(parts.hostname) and parts.scheme in ("http", "https") and parts.port != 0
    except ValueError:  # a port that is no number or too large, or half an IPv6 address
        return False
    return sound and not any(mark in url for mark in "@?#") and url.isprintable() and " " not in url


class Embedder(Protocol):
    """Tells how near a query is to those of past tasks."""

    def vectors(self, queries: Sequence[str]) -> Vectors | None:
        """The queries of past tasks as rows of length 1; None where they have no vectors."""

    def scores(self, query: str, past: Sequence[str], vectors: Vectors | None) -> Scores:
        """How near a query is to those of past tasks, whose vectors are given; the higher the nearer."""


def open_embedder(spec: EmbedderSpec) -> Embedder:
    """The embedder that a user has named.

    Raises:
        BankError: It cannot be had here.
    """
    match spec.kind:
        case "bm25":
            return Words()
        case "openai":
            return Served(spec)
        case "st":
            return Local(spec)


class Words:
    """BM25 (Lù, "BM25S", arXiv 2407.03618) over the words of the queries: needs no model."""

    def __init__(self) -> None:
        self._indexed: tuple[Sequence[str], Any] | None = None
        self._lock = Lock()

    def vectors(self, queries: Sequence[str]) -> None:
        """There are none."""

    def scores(self, query: str, past: Sequence[str], vectors: Vectors | None) -> Scores:
        """BM25 scores; 0 where no word is shared."""
        with self._lock:
            if self._indexed is None or self._indexed[0] is not past:
                self._indexed = (past, self._index(past))
        index = self._indexed[1]
        words = _words([query])[0]
        if index is None or not words:
            return np.zeros(len(past), dtype=np.float32)
        found: Scores = index.get_scores(words).astype(np.float32)
        return found

    def _index(self, past: Sequence[str]) -> Any:
        import bm25s

        words = _words(past)
        if not any(words):
            return None
        index = bm25s.BM25(backend="numpy")
        index.index(words, show_progress=False)
        return index


def _words(texts: Sequence[str]) -> list[list[str]]:
    import bm25s

    found: list[list[str]] = bm25s.tokenize(list(texts), stopwords="en", return_ids=False, show_progress=False)
    return found


class _Vectors:
    """What all embedders with vectors share: cosine, and the instruction before a query."""

    def __init__(self, spec: EmbedderSpec) -> None:
        self.spec = spec
        self._prefix = INSTRUCTION if "qwen3-embedding" in spec.model.lower() else ""

    def vectors(self, queries: Sequence[str]) -> Vectors:
        """The queries of past tasks as rows of length 1."""
        parts = [self._normal(queries[start : start + BATCH]) for start in range(0, len(queries), BATCH)]
        return np.concatenate(parts) if parts else np.zeros((0, 1), dtype=np.float32)

    def scores(self, query: str, past: Sequence[str], vectors: Vectors | None) -> Scores:
        """Cosines."""
        assert vectors is not None, "a bank of this embedder has vectors"
        [asked] = self._normal([self._prefix + query])
        if len(asked) != vectors.shape[1]:
            raise BankError(_dimensions(self.spec, len(asked), vectors.shape[1]))
        found: Scores = vectors @ asked
        return found

    def _normal(self, texts: Sequence[str]) -> Vectors:
        """Rows of length 1; raises where an answer is no such thing."""
        raw = self._embed([text[:CHARACTERS] for text in texts])
        try:
            rows = np.asarray(raw, dtype=np.float32)
        except (ValueError, TypeError) as error:
            raise ServerError(self._garbage(str(error))) from error
        if rows.ndim != 2 or rows.shape[0] != len(texts) or not rows.shape[1]:
            raise ServerError(
                self._garbage(f"{len(texts)} vectors of one length were expected, got shape {rows.shape}")
            )
        if rows.shape[1] > MAX_DIMENSION:
            raise ServerError(
                self._garbage(f"they have {rows.shape[1]:,} numbers, and a bank takes {MAX_DIMENSION:,} at most")
            )
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        if not np.isfinite(lengths).all() or not lengths.all():
            raise ServerError(self._garbage("a vector holds no numbers, or only zeros"))
        normal: Vectors = rows / lengths
        return normal

    def _garbage(self, problem: str) -> str:
        return f"The embedder {self.spec.name} answers, but not with vectors: {problem}. Is it an embedding model?"

    def _embed(self, texts: Sequence[str]) -> Any:
        raise NotImplementedError


class Served(_Vectors):
    """An embedding model behind an OpenAI-compatible server, such as Qwen3-Embedding on vLLM."""

    @cached_property
    def _client(self) -> "OpenAI":
        from openai import OpenAI

        # Some servers want any key; nobody else's is ever sent.
        key = os.environ.get(KEY_VARIABLE) or "none"
        return OpenAI(base_url=self.spec.url, api_key=key, timeout=SECONDS, max_retries=2, organization="", project="")

    def _embed(self, texts: Sequence[str]) -> Any:
        from httpx2 import InvalidURL
        from openai import APIConnectionError, OpenAIError

        where = f"The embedding server at {self.spec.url}"
        try:
            answer = self._client.embeddings.create(model=self.spec.model, input=list(texts), encoding_format="float")
            return _in_order(answer.data)
        except APIConnectionError as error:
            raise ServerError(
                f"{where} does not answer: {error}. Start it (vllm serve {self.spec.model}), or correct the address in "
                f"--embedder or {EMBEDDER_VARIABLE}."
            ) from error
        except OpenAIError as error:
            raise ServerError(
                f"{where} refuses {self.spec.model}: {' '.join(str(error).split())[:300]}. Is that model served there, "
                f"and for embedding? A key goes into {KEY_VARIABLE}."
            ) from error
        except InvalidURL as error:
            raise BankError(f"{where} cannot be asked: {error}. Correct the address in --embedder.") from error
        except (TypeError, AttributeError, ValueError) as error:  # the client does not check what it was answered
            raise ServerError(
                f"{where} answers something else than embeddings ({error}). Is it an OpenAI API?"
            ) from error


def _in_order(data: Sequence[Any]) -> list[Any]:
    """The vectors of an answer in the order of the texts.

    Raises:
        ValueError: They are not numbered from 0 on, each number once.
    """
    numbers = [row.index for row in data]
    if any(type(number) is not int for number in numbers) or sorted(numbers) != list(range(len(numbers))):
        raise ValueError(f"its vectors are not numbered from 0 to {len(numbers) - 1}, so whose they are is unknown")
    return [row.embedding for row in sorted(data, key=lambda row: row.index)]


class Local(_Vectors):
    """A sentence-transformers model in a folder of this machine. Code that lies there is never run."""

    def __init__(self, spec: EmbedderSpec) -> None:
        super().__init__(spec)
        self._lock = Lock()
        if not (Path(spec.model) / "modules.json").is_file():
            raise BankError(
                f"st:{spec.model} is no folder of a sentence-transformers model: it has no modules.json. Download the "
                "model and name its folder; nothing is fetched here."
            )

    @cached_property
    def _model(self) -> Any:
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise BankError(
                "st: embedders need sentence-transformers, which is not installed: pip install 'trace2skill[memory]'. "
                "Or use --embedder bm25, which needs no model."
            ) from error
        try:
            return SentenceTransformer(self.spec.model, device="cpu", trust_remote_code=False, local_files_only=True)
        except Exception as error:  # whatever a model's loader meets in a folder of somebody else's
            raise BankError(f"st:{self.spec.model} cannot be loaded: {' '.join(str(error).split())[:300]}.") from error

    def _embed(self, texts: Sequence[str]) -> Any:
        with self._lock:
            return self._model.encode(list(texts), show_progress_bar=False, convert_to_numpy=True)


@contextmanager
def embedder_at(embedder: str) -> Iterator[None]:
    """Say where the embedder of the banks that are opened inside is found, instead of the environment."""
    token = _found_at.set(embedder)
    try:
        yield
    finally:
        _found_at.reset(token)


def embedder_for(bank: Bank) -> Embedder:
    """The embedder of a bank, from where the user says that it is found.

    Raises:
        BankError: The user has named none, or another one.
        ServerError: It does not answer, or not with vectors.
    """
    wanted = bank.card.embedder
    if wanted == "bm25":
        return Words()
    said = _found_at.get() or os.environ.get(EMBEDDER_VARIABLE, "")
    where = f"{wanted}@URL" if wanted.startswith("openai:") else "st:FOLDER"
    if not said:
        raise BankError(
            f"{bank.folder} was embedded with {wanted}, and a bank never says where that is found. Set "
            f"{EMBEDDER_VARIABLE}={where}, or make the bank anew with --embedder bm25."
        )
    spec = embedder_of(said)
    if spec.name != wanted:
        raise BankError(
            f"{bank.folder} was embedded with {wanted}, and {EMBEDDER_VARIABLE} names {spec.name}: vectors of two "
            f"models cannot be compared. Set {EMBEDDER_VARIABLE}={where}, or make the bank anew with --embedder {said}."
        )
    embedder = open_embedder(spec)
    _check_same(embedder, spec, bank)
    return embedder


def _check_same(embedder: Embedder, spec: EmbedderSpec, bank: Bank) -> None:
    """Embed queries of the bank once more: a name does not tell which weights are behind it.

    The first and the last: where a server mixed up its answers, one of them stands in another's place.
    """
    rows = sorted({0, len(bank.records) - 1})
    again = embedder.vectors([bank.records[row].query for row in rows])
    if again is None or bank.vectors is None:
        raise BankError(f"{bank.folder} names the embedder {spec.name} and holds no vectors. Make the bank anew.")
    if again.shape[1] != bank.vectors.shape[1]:
        raise BankError(_dimensions(spec, again.shape[1], bank.vectors.shape[1]))
    for row, vector in zip(rows, again, strict=True):
        if (cosine := float(vector @ bank.vectors[row])) < SAME:
            raise BankError(
                f"{bank.folder} was embedded with another model than {spec.name} is now: its query number {row + 1} "
                f"has a cosine of {cosine:.2f} with itself. Name the one that made the bank, or make the bank anew."
            )


def _dimensions(spec: EmbedderSpec, now: int, then: int) -> str:
    return (
        f"{spec.name} gives vectors of {now} numbers, the bank holds vectors of {then}: it was made with another "
        "model. Name that one, or make the bank anew."
    )
