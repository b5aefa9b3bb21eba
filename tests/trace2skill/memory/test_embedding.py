import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.trace2skill.memory.banks import QUERIES, counted, embedding_server, make_bank
from trace2skill.errors import BankError, ServerError, Trace2SkillError
from trace2skill.evolution import EvolveConfig
from trace2skill.memory import EMBEDDER_VARIABLE, Bank, embedder_for, embedder_of, open_embedder
from trace2skill.memory.embedding import INSTRUCTION, KEY_VARIABLE

PAST = tuple(QUERIES.values())


@pytest.mark.parametrize(
    ("text", "name", "url"),
    [
        ("bm25", "bm25", ""),
        ("openai:Qwen/Qwen3-Embedding-8B@http://h:8000/v1", "openai:Qwen/Qwen3-Embedding-8B", "http://h:8000/v1"),
        ("openai:a@b@https://h/v1", "openai:a@b", "https://h/v1"),
        ("st:/models/all-MiniLM-L6-v2/", "st:all-MiniLM-L6-v2", ""),
    ],
)
def test_an_embedder_has_one_of_three_forms(text: str, name: str, url: str) -> None:
    spec = embedder_of(text)

    assert (spec.name, spec.url) == (name, url)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("bm26", "is none of bm25, openai:MODEL@URL"),
        ("openai:model", "is none of"),
        ("st:", "is none of"),
        ("openai:model@http://", "an address such as"),
        ("openai:model@http://user:secret@host/v1", "or query: a key goes into TRACE2SKILL_EMBEDDER_KEY"),
        ("openai:model@http://host/v1?api_key=secret", "without user, key or query"),
        ("openai:model@http://host/v1#secret", "without user, key or query"),
        ("openai:model@http://secret@http://host/v1", "without user, key or query"),
        ("openai:model@HTTP://me:secret@host/v1", "is none of"),
        ("openai:model@http://127.0.0.1:notaport/v1", "with a number as its port"),
        ("openai:model@http://127.0.0.1:99999/v1", "with a number as its port"),
        ("openai:model@http://[::1/v1", "an address such as"),
        ("openai:model@http://a host/v1", "an address such as"),
    ],
)
def test_other_forms_are_refused_and_no_key_is_repeated(text: str, problem: str) -> None:
    with pytest.raises(BankError, match=problem) as refused:
        embedder_of(text)

    assert "secret" not in str(refused.value)


def test_bm25_finds_the_query_with_the_rarest_shared_words() -> None:
    words = open_embedder(embedder_of("bm25"))
    scores = words.scores("Which months do the dates fall in?", PAST, None)

    assert words.vectors(PAST) is None
    assert int(np.argmax(scores)) == 0
    assert scores[1] == 0


@pytest.mark.parametrize("query", ["", "?", "a I", "zebra"])
def test_bm25_knows_nothing_of_words_that_no_query_has(query: str) -> None:
    assert not open_embedder(embedder_of("bm25")).scores(query, PAST, None).any()


def test_bm25_over_queries_without_words() -> None:
    assert not open_embedder(embedder_of("bm25")).scores("dates", ("?", ""), None).any()


@pytest.fixture
def bank(tmp_path: Path) -> Bank:
    vectors = counted(PAST)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return make_bank(tmp_path / "bank", vectors=vectors, embedder="openai:toy")


def point(monkeypatch: pytest.MonkeyPatch, url: str, model: str = "toy") -> None:
    monkeypatch.setenv(EMBEDDER_VARIABLE, f"openai:{model}@{url}")


def test_a_server_embeds_with_the_users_key_and_no_other(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-somebody-elses")
    monkeypatch.setenv("OPENAI_ORG_ID", "org")
    with embedding_server() as (url, asked):
        point(monkeypatch, url)
        scores = embedder_for(bank).scores(QUERIES["totals"], PAST, bank.vectors)
        monkeypatch.setenv(KEY_VARIABLE, "mine")
        embedder_for(bank)

    assert scores[1] == pytest.approx(1)
    assert scores.argmax() == 1
    assert [request["key"] for request in asked] == ["Bearer none", "Bearer none", "Bearer mine"]
    assert {(request["model"], request["path"]) for request in asked} == {("toy", "/v1/embeddings")}


def test_many_queries_go_in_batches_and_come_back_in_order() -> None:
    texts = [f"word{number}" for number in range(70)]
    with embedding_server() as (url, asked):
        vectors = open_embedder(embedder_of(f"openai:toy@{url}")).vectors(texts)

    assert [len(request["input"]) for request in asked] == [32, 32, 6]
    assert vectors is not None
    assert np.allclose(vectors, counted(texts))


def test_qwens_instruction_goes_before_a_query_and_not_before_what_is_stored() -> None:
    with embedding_server() as (url, asked):
        embedder = open_embedder(embedder_of(f"openai:Qwen/Qwen3-Embedding-8B@{url}"))
        vectors = embedder.vectors(["past"])
        embedder.scores("now", ["past"], vectors)

    assert [request["input"] for request in asked] == [["past"], [f"{INSTRUCTION}now"]]


def good(rows: Any) -> dict[str, Any]:
    data = [{"object": "embedding", "index": number, "embedding": row} for number, row in enumerate(rows)]
    return {"object": "list", "model": "toy", "data": data, "usage": {"prompt_tokens": 1, "total_tokens": 1}}


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"<html>Welcome</html>", 200),
        (b"", 200),
        (b"[]", 200),
        ({"object": "list"}, 200),
        (good([]), 200),
        (good([[]]), 200),
        (good([[0.0, 0.0]]), 200),
        (good([["a", "b"]]), 200),
        (good([None]), 200),
        (good([[1.0], [2.0], [3.0]]), 200),
        (good([[float("nan"), 1.0]]), 200),
        ({"error": {"message": "The model `toy` does not exist."}}, 404),
        ({"error": {"message": "wrong key"}}, 401),
    ],
)
def test_garbage_is_named(bank: Bank, monkeypatch: pytest.MonkeyPatch, answer: Any, status: int) -> None:
    with embedding_server(answer=answer, status=status) as (url, _):
        point(monkeypatch, url)
        with pytest.raises(ServerError, match=r"(embedd.*(not with|refuses|something else)).*(Is it an|Is that model)"):
            embedder_for(bank)


@pytest.mark.parametrize("numbers", [("0", "1", "2"), (0, 0, 0), (1, 2, 3), (0, 1, None), (False, True, 2), (0, 1, 1)])
def test_vectors_whose_texts_are_unknown_are_refused(numbers: tuple[Any, ...]) -> None:
    answer = good(counted(PAST).tolist())
    for row, number in zip(answer["data"], numbers, strict=True):
        row["index"] = number

    with (
        embedding_server(answer=answer) as (url, _),
        pytest.raises(ServerError, match="are not numbered from 0 to 2, so whose they are is unknown"),
    ):
        open_embedder(embedder_of(f"openai:toy@{url}")).vectors(PAST)


def test_vectors_too_long_for_a_bank_are_refused_at_once() -> None:
    with (
        embedding_server(answer=good([[1.0] * 70_000])) as (url, _),
        pytest.raises(ServerError, match="they have 70,000 numbers, and a bank takes 65,536 at most"),
    ):
        open_embedder(embedder_of(f"openai:toy@{url}")).vectors(["x"])


def test_a_bank_whose_vectors_changed_places_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = counted(PAST)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    mixed = make_bank(tmp_path / "mixed", vectors=vectors[[0, 2, 1]], embedder="openai:toy")
    with embedding_server() as (url, _):
        point(monkeypatch, url)
        with pytest.raises(BankError, match="query number 3 has a cosine of"):
            embedder_for(mixed)


def test_a_server_that_is_down_is_named(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    with embedding_server() as (url, _):
        pass
    point(monkeypatch, url)

    with pytest.raises(ServerError, match=rf"{url} does not answer.*Start it \(vllm serve toy\)"):
        embedder_for(bank)


def test_a_bank_needs_its_own_embedder(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(EMBEDDER_VARIABLE, raising=False)
    with pytest.raises(BankError, match=r"never says where that is found. Set TRACE2SKILL_EMBEDDER=openai:toy@URL"):
        embedder_for(bank)
    point(monkeypatch, "http://localhost:1/v1", "other")
    with pytest.raises(BankError, match="embedded with openai:toy, and TRACE2SKILL_EMBEDDER names openai:other"):
        embedder_for(bank)


def test_other_weights_under_the_same_name_are_noticed(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    with embedding_server(dimension=32) as (url, _):
        point(monkeypatch, url)
        with pytest.raises(BankError, match="gives vectors of 32 numbers, the bank holds vectors of 64"):
            embedder_for(bank)
    with embedding_server(answer=good([[1.0, *[0.0] * 63]] * 2)) as (url, _):
        point(monkeypatch, url)
        with pytest.raises(BankError, match="embedded with another model than openai:toy is now"):
            embedder_for(bank)


def test_a_bank_of_words_asks_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    point(monkeypatch, "http://localhost:1/v1")
    bank = make_bank(tmp_path / "words")

    assert embedder_for(bank).scores("dates", PAST, bank.vectors).argmax() == 0


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BankError, match="no folder of a sentence-transformers model"):
        open_embedder(embedder_of(f"st:{tmp_path}"))


def test_sentence_transformers_are_asked_for_where_they_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "modules.json").write_text("[]")
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)

    with pytest.raises(Trace2SkillError, match=r"pip install 'trace2skill\[memory\]'"):
        open_embedder(embedder_of(f"st:{tmp_path}")).vectors(["x"])


@pytest.mark.slow
def test_a_real_model_knows_what_words_do_not() -> None:
    pytest.importorskip("sentence_transformers", reason="needs the extra `memory`")
    folder = os.environ.get("TRACE2SKILL_TEST_EMBEDDER")
    if not folder:
        pytest.skip("TRACE2SKILL_TEST_EMBEDDER names no folder of a sentence-transformers model")
    embedder = open_embedder(embedder_of(f"st:{folder}"))
    vectors = embedder.vectors(PAST)
    query = "Separate first and family name of each person"

    assert embedder.scores(query, PAST, vectors).argmax() == 2
    assert not open_embedder(embedder_of("bm25")).scores("Separate first and family", PAST, None).any()


def test_settings_that_are_refused_repeat_no_key() -> None:
    with pytest.raises(ValueError, match="without user, key or query") as refused:
        EvolveConfig(method="synapse", embedder="openai:model@http://me:secret@host/v1")

    assert "secret" not in str(refused.value)
