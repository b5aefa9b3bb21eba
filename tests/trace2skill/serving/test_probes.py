"""Each probe, against an endpoint that answers rightly and against one with just the fault that it is there for."""

from collections.abc import Mapping
from contextlib import closing
from socket import socket
from types import MappingProxyType

import pytest

from tests.trace2skill.serving.fake import CONTEXT, MODEL, fake_endpoint
from trace2skill.models.serving import Abilities
from trace2skill.serving.endpoint import Endpoint
from trace2skill.serving.finding import Finding
from trace2skill.serving.probes import Asked, probe

pytestmark = pytest.mark.slow

ALL = Abilities(tools=True, images=True, thinking=True)
PROBES = [
    "endpoint",
    "tool call",
    "strict arguments",
    "JSON schema, thinking off",
    "JSON schema, thinking on",
    "seed repeats, alone",
    "seed repeats, among 8 others",
    "image",
    "prefix cache",
    "longest prompt",
]


async def ask(
    *faults: str,
    model: str = "",
    abilities: Abilities = ALL,
    seconds: float = 60,
    context: int | None = None,
    contexts: Mapping[str, int] = MappingProxyType({}),
    key: str | None = None,
) -> dict[str, Finding]:
    with fake_endpoint(*faults) as server:
        endpoint = Endpoint(url=server.url, model=model, key=key, seconds=seconds)
        asked = Asked(endpoint=endpoint, abilities=abilities, known=True, context=context, contexts=contexts)
        return {finding.name: finding async for finding in probe(asked)}


async def test_an_endpoint_that_answers_rightly_passes_all() -> None:
    found = await ask()

    assert list(found) == PROBES
    assert {finding.state for finding in found.values()} == {"ok"}, found
    assert f"{MODEL}, {CONTEXT:,} tokens" in found["endpoint"].said
    assert found["JSON schema, thinking on"].said.endswith("after thinking")
    assert "usage.cached_tokens" in found["prefix cache"].said
    assert found["longest prompt"].said.endswith(f"of {CONTEXT:,} tokens")


@pytest.mark.parametrize(
    ("fault", "name", "said", "fix"),
    [
        ("fenced", "tool call", "came back as text", "--tool-call-parser qwen2_5_coder"),
        ("tagged", "tool call", "came back as text", "--tool-call-parser hermes"),
        ("tags", "tool call", "came back as text", "--tool-call-parser qwen3_coder"),
        ("chatty", "tool call", "no call came back, but I would be glad", "does not call tools"),
        ("loose", "strict arguments", "what the tool's schema forbids", "not decoded under the schema"),
        ("prose", "JSON schema, thinking off", "no JSON came back, but Rome", "decodes under a JSON schema"),
        ("free", "JSON schema, thinking off", "does not follow the schema", "decodes under a JSON schema"),
        ("thoughtless", "JSON schema, thinking on", "without a thought", "--reasoning-parser"),
        ("unseeded", "seed repeats, alone", "one seed, two answers", "ignores `seed`"),
        ("drifting", "seed repeats, alone", "two answers that part after", "obeys `seed`"),
        ("wordless", "seed repeats, alone", "under seed 1 nothing came back", "reasoning parser"),
        ("wordless", "seed repeats, among 8 others", "nothing came back", "reasoning parser"),
        ("batched", "seed repeats, among 8 others", "another answer than alone", "VLLM_BATCH_INVARIANT=1"),
        ("blind", "image", "it read I see nothing. where 7294 is written", "serve it with images"),
        ("uncached", "prefix cache", "0 of", "--mamba-cache-mode align --prefix-match-unit 16"),
        ("short", "longest prompt", "tokens are too many", ""),
        ("uncounted", "prefix cache", "reports no usage", "use a server that does"),
    ],
)
async def test_each_fault_is_found_by_its_probe_and_says_what_to_do(fault: str, name: str, said: str, fix: str) -> None:
    found = (await ask(fault))[name]

    assert found.state == "failed"
    assert said in found.said
    assert fix in found.fix


async def test_what_a_run_survives_is_not_fatal() -> None:
    found = await ask("loose", "drifting", "uncached")

    assert {name for name, finding in found.items() if finding.state == "failed"} == {
        "strict arguments",
        "seed repeats, alone",
        "seed repeats, among 8 others",
        "prefix cache",
    }
    assert not any(finding.fatal for finding in found.values())


async def test_cached_tokens_that_replies_do_not_say_come_from_the_metrics() -> None:
    found = await ask("unsaid")

    assert "vllm:prefix_cache_hits in /metrics" in found["prefix cache"].said
    assert "--enable-prompt-tokens-details" in found["prefix cache"].said


async def test_without_metrics_either_the_cache_fails() -> None:
    found = await ask("unsaid", "unmetered")

    assert "no /metrics" in found["prefix cache"].said


async def test_what_the_profile_denies_is_not_asked() -> None:
    found = await ask(abilities=Abilities(tools=False))

    skipped = {name for name, finding in found.items() if finding.state == "skipped"}
    assert skipped == {"tool call", "strict arguments", "JSON schema, thinking on", "image"}


@pytest.mark.parametrize(
    ("faults", "model", "key", "said", "fix"),
    [
        ((), "fake/modle", None, f"it has no model fake/modle; it has {MODEL}", "--model"),
        (("two",), "", None, f"it has the models {MODEL}, other/model", "--model"),
        (("locked",), "", None, "wants a key (401)", "export VLLM_API_KEY="),
        (("locked",), "", "wrong", "refuses the key (401)", "export VLLM_API_KEY="),
        (("none",), "", None, "it lists no model", "wait"),
        (("loading",), "", None, "/v1/models answers with 503", "try again"),
        (("website",), "", None, "/v1/models answers with 404", "/v1"),
    ],
)
async def test_an_endpoint_that_cannot_be_asked(
    faults: tuple[str, ...], model: str, key: str | None, said: str, fix: str
) -> None:
    found = await ask(*faults, model=model, key=key)

    assert list(found) == ["endpoint", "the other probes"]
    assert said in found["endpoint"].said
    assert fix in found["endpoint"].fix
    assert found["endpoint"].fatal


async def test_the_right_key_opens() -> None:
    assert (await ask("locked", key="secret"))["endpoint"].state == "ok"


@pytest.mark.parametrize(("fault", "name"), [("silent", "endpoint"), ("mute", "an answer")])
async def test_a_server_that_never_answers_ends_in_one_line_with_its_url(fault: str, name: str) -> None:
    found = await ask(fault, seconds=2)

    assert "http://127.0.0.1:" in found[name].said
    assert "did not answer within 2 s" in found[name].said
    assert list(found)[-1] == "the other probes"
    assert found["the other probes"].state == "skipped"


async def test_an_error_of_the_server_is_shown() -> None:
    found = await ask("broken")

    assert "the engine is dead" in found["an answer"].said


async def test_nobody_listens() -> None:
    with closing(socket()) as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        asked = Asked(endpoint=Endpoint(url=url, model="", seconds=5))
        found = [finding async for finding in probe(asked)]

    assert f"nothing answers at {url}" in found[0].said
    assert "trace2skill serve" in found[0].fix


async def test_a_context_that_is_shorter_than_the_profile_needs() -> None:
    found = await ask(context=CONTEXT * 2)

    assert list(found) == ["endpoint", "context", *PROBES[1:]]
    assert found["context"].said == f"it takes {CONTEXT:,} tokens, the profile needs {CONTEXT * 2:,}"
    assert f"--max-model-len {CONTEXT * 2}" in found["context"].fix
    assert {name for name, finding in found.items() if finding.state != "ok"} == {"context"}


@pytest.mark.parametrize(("needed", "short"), [(CONTEXT, False), (CONTEXT + 1, True)])
async def test_what_must_fit_depends_on_the_weights_that_are_served(needed: int, short: bool) -> None:
    found = await ask(context=CONTEXT * 2, contexts={MODEL: needed, "other/model": 1})

    assert ("context" in found) == short


async def test_thoughts_are_compared_where_there_is_nothing_else() -> None:
    same, random = await ask("thoughtful"), await ask("thoughtful", "unseeded")

    assert same["seed repeats, alone"].said == "twice the same answer, another one for another seed"
    assert "one seed, two answers" in random["seed repeats, alone"].said
    assert random["seed repeats, among 8 others"].state == "failed"


async def test_an_answer_that_is_none_is_shown_as_it_is() -> None:
    found = await ask("null")

    assert "None" in found["an answer"].said
    assert "Future" not in found["an answer"].said


async def test_no_proxy_stands_before_a_server_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    proxied(monkeypatch)

    assert {finding.state for finding in (await ask()).values()} == {"ok"}


@pytest.mark.parametrize(
    ("exempt", "said"), [("", "through the proxy 127.0.0.1:9 (NO_PROXY=model.invalid"), ("*", "at http")]
)
async def test_the_proxy_before_another_machine_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch, exempt: str, said: str
) -> None:
    proxied(monkeypatch)
    monkeypatch.setenv("NO_PROXY", exempt)
    asked = Asked(endpoint=Endpoint(url="http://model.invalid:8000/v1", model="", seconds=5))
    found = [finding async for finding in probe(asked)]

    assert said in found[0].said
    assert ("proxy" in found[0].said) == (not exempt)
    assert "secret" not in found[0].said


def proxied(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy at which nobody listens."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("HTTP_PROXY", "http://me:secret@127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://me:secret@127.0.0.1:9")


async def test_an_endpoint_without_encryption_is_told_from_none() -> None:
    with fake_endpoint() as server:
        asked = Asked(endpoint=Endpoint(url=server.url.replace("http:", "https:"), model="", seconds=5))
        found = [finding async for finding in probe(asked)]

    assert "use http://" in found[0].fix
