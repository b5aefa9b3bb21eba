"""A profile as a command: which weights on which GPUs, and what is said where they do not fit."""

import shlex
from pathlib import Path

import pytest

from tests.trace2skill.serving.test_weights import write_weights
from trace2skill.errors import Trace2SkillError
from trace2skill.models.sampling import load_model_profile, profiles_folder
from trace2skill.serving.command import plan_launch, served_profiles
from trace2skill.serving.gpus import NONE, Gpus


@pytest.mark.parametrize(
    ("profile", "gpus", "weights", "flags"),
    [
        ("qwen3.5-35b-a3b", Gpus(1, 80), "fp8", ""),
        ("qwen3.5-35b-a3b", Gpus(1, 141), "bf16", ""),
        ("qwen3.5-35b-a3b", Gpus(2, 80), "bf16", "--tensor-parallel-size 2"),
        ("qwen3.5-35b-a3b", Gpus(8, 80), "bf16", "--data-parallel-size 8 --enable-expert-parallel"),
        ("qwen3.5-122b-a10b", Gpus(2, 141), "fp8", "--tensor-parallel-size 2"),
        ("qwen3.5-122b-a10b", Gpus(4, 80), "fp8", "--data-parallel-size 4 --enable-expert-parallel"),
        ("qwen3.5-122b-a10b", Gpus(8, 80), "bf16", "--tensor-parallel-size 8"),
        ("qwen3.5-122b-a10b", Gpus(1, 80), "int4", "--max-model-len 32768"),
        ("gemma-4-26b-a4b", Gpus(1, 80), "bf16", "--gpu-memory-utilization 0.9"),
        ("smollm2-135m-cpu", NONE, "bf16", "--no-enable-chunked-prefill"),
    ],
)
def test_the_first_weights_that_fit_spread_over_most_gpus(profile: str, gpus: Gpus, weights: str, flags: str) -> None:
    launch = plan_launch(profile, gpus)

    assert launch.weights.name == weights
    assert flags in shlex.join(launch.arguments)


def test_the_driver_counts_memory_otherwise_than_a_data_sheet() -> None:
    assert plan_launch("qwen3.5-122b-a10b", Gpus(2, 140)).weights.name == "fp8"
    assert plan_launch("qwen3.5-122b-a10b", Gpus(4, 79.6)).weights.name == "fp8"


def test_text_only_unless_images_are_wanted() -> None:
    assert "--language-model-only" in plan_launch("qwen3.5-35b-a3b", Gpus(1, 80)).arguments
    assert "--language-model-only" not in plan_launch("qwen3.5-35b-a3b", Gpus(1, 80), images=True).arguments


def test_local_weights_keep_the_models_name_and_ask_no_hub(tmp_path: Path) -> None:
    write_weights(tmp_path)
    launch = plan_launch("smollm2-135m-cpu", NONE, folder=tmp_path, extra=["--seed", "3"])

    assert launch.arguments[:4] == (
        "serve",
        str(tmp_path),
        "--served-model-name",
        "HuggingFaceTB/SmolLM2-135M-Instruct",
    )
    assert launch.arguments[-2:] == ("--seed", "3")
    assert launch.environment["HF_HUB_OFFLINE"] == "1"
    assert launch.shell("/a b/vllm").startswith("VLLM_CPU_KVCACHE_SPACE=2 ")
    assert "'/a b/vllm' serve" in launch.shell("/a b/vllm")


@pytest.mark.parametrize(
    ("gpus", "extra", "said"),
    [
        (Gpus(4, 80), [], ["--max-model-len", "131072"]),
        (Gpus(1, 80), [], ["--max-model-len", "32768"]),
        (Gpus(1, 80), ["--max-model-len", "4096"], ["--max-model-len", "4096"]),
        (Gpus(1, 80), ["--max-model-len=1k"], ["--max-model-len=1k"]),
        (Gpus(1, 80), ["--max_model_len", "4096"], ["--max_model_len", "4096"]),
        (Gpus(1, 80), ["--max_model_len=auto"], ["--max_model_len=auto"]),
    ],
)
def test_the_context_is_said_once_and_the_users_own_wins(gpus: Gpus, extra: list[str], said: list[str]) -> None:
    arguments = plan_launch("qwen3.5-122b-a10b", gpus, extra=extra).arguments
    first = next(place for place, word in enumerate(arguments) if word.replace("_", "-").startswith("--max-model-len"))

    assert list(arguments[first : first + len(said)]) == said
    assert sum(word.replace("_", "-").startswith("--max-model-len") for word in arguments) == 1


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (["--port", "1"], "--port cannot stand after -- or in a profile: say it to `serve` itself: --port"),
        (["--seed", "1", "--host=::"], "--host cannot stand .* `serve` itself"),
        (["--por=1"], "--port cannot stand"),
        (["--served_model_name", "m"], "--served-model-name cannot stand .* `hub` of the profile"),
        (["--api-key", "secret"], "VLLM_API_KEY"),
        (["--ssl-certfile=c.pem"], "plain HTTP"),
    ],
)
def test_what_serve_must_know_is_said_to_serve(extra: list[str], said: str) -> None:
    with pytest.raises(Trace2SkillError, match=said) as raised:
        plan_launch("smollm2-135m-cpu", NONE, extra=extra)
    assert "secret" not in str(raised.value)


def test_a_port_in_a_profile_of_ones_own_is_refused_as_well(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("extends: smollm2-135m-cpu\nserving: {arguments: [{flags: --seed 1 --port=1, why: w, source: s}]}\n")

    with pytest.raises(Trace2SkillError, match="--port cannot stand"):
        plan_launch(str(own), NONE)


@pytest.mark.parametrize(("host", "url"), [("[::1]", "http://[::1]:8000/v1"), ("::1", "http://[::1]:8000/v1")])
def test_an_address_of_version_6_is_taken_with_and_without_brackets(host: str, url: str) -> None:
    launch = plan_launch("smollm2-135m-cpu", NONE, host=host)

    assert launch.url == url
    assert launch.arguments[launch.arguments.index("--host") + 1] == "::1"


def test_the_plugin_lies_beside_its_profile() -> None:
    arguments = plan_launch("qwen2.5-coder-0.5b-cpu", NONE).arguments
    plugin = Path(arguments[arguments.index("--tool-parser-plugin") + 1])

    assert plugin.is_file()
    assert plugin.parent == profiles_folder()


def test_a_file_that_an_argument_names_is_missing_until_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (missing,) = plan_launch("gemma-4-26b-a4b", Gpus(1, 80)).missing
    (tmp_path / str(missing.file)).touch()

    assert "examples/tool_chat_template_gemma4.jinja of the vLLM repository" in missing.source
    assert plan_launch("gemma-4-26b-a4b", Gpus(1, 80)).missing == ()


@pytest.mark.parametrize(
    ("profile", "gpus", "weights", "said"),
    [
        ("qwen4", Gpus(8, 80), None, "no such profile. Name one of gemma-4, gemma-4-26b-a4b"),
        ("qwen3.5", Gpus(8, 80), None, "Those that do: gemma-4-26b-a4b"),
        ("qwen3.5-35b-a3b", Gpus(8, 80), "fp4", "It has bf16, fp8, int4"),
        ("qwen3.5-122b-a10b", NONE, None, "there is no GPU. It fits as bf16 on 4 x 141 GB or 8 x 80 GB"),
        ("qwen3.5-122b-a10b", Gpus(2, 80), "fp8", "as fp8 does not fit: there is 2 x 80 GB"),
    ],
)
def test_what_cannot_be_served_says_what_could(profile: str, gpus: Gpus, weights: str | None, said: str) -> None:
    with pytest.raises(Trace2SkillError) as raised:
        plan_launch(profile, gpus, weights=weights)

    assert said in str(raised.value)


def test_a_model_without_eyes_takes_no_images() -> None:
    with pytest.raises(Trace2SkillError, match="reads no images"):
        plan_launch("smollm2-135m-cpu", NONE, images=True)


@pytest.mark.parametrize("name", served_profiles())
def test_no_limit_exceeds_the_context_that_is_served(name: str) -> None:
    serving = load_model_profile(name).serving
    assert serving is not None
    limits = serving.limits

    assert max(limits.agent.tokens, limits.analyst.tokens, limits.merger.tokens) <= limits.context.tokens // 2
