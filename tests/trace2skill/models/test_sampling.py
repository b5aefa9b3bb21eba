"""Profiles: by name, by path, laid over another, and what is said where there is none."""

from pathlib import Path

import pytest

from trace2skill.errors import Trace2SkillError
from trace2skill.models.sampling import Profile, bundled_profiles, load_model_profile, load_profile


@pytest.mark.parametrize("name", bundled_profiles())
def test_every_bundled_profile_can_be_sampled_and_served(name: str) -> None:
    profile = load_model_profile(name)

    assert profile.serving is not None
    assert type(load_profile(name)) is Profile
    assert profile.instruct.timeout == 600
    assert profile.thinking.timeout == 1800


def test_a_model_is_sampled_as_its_family() -> None:
    assert load_profile("qwen3.5-35b-a3b") == load_profile("qwen3.5")
    assert load_profile("gemma-4-26b-a4b") == load_profile("gemma-4")


def test_a_users_profile_needs_no_word_on_serving(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("source: mine\ninstruct: {temperature: 0.5}\nthinking: {temperature: 0.6}\n")

    assert load_model_profile(str(path)).serving is None
    assert load_profile(str(path)).thinking.temperature == 0.6


def test_a_users_profile_may_extend_a_bundled_one(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("extends: qwen3.5-35b-a3b\nserving: {limits: {agent: {tokens: 99}}}\n")
    serving = load_model_profile(str(path)).serving

    assert serving is not None
    assert serving.limits.agent.tokens == 99
    assert serving.weights


@pytest.mark.parametrize("text", ["[1, 2]", "extends: [1]", "extends: nothing", "instruct: {", "source: x"])
def test_what_is_no_profile_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(text)

    with pytest.raises(Trace2SkillError, match=r"--profile \S+own.yaml"):
        load_profile(str(path))


@pytest.mark.parametrize(
    ("serving", "said"),
    [
        ("""arguments: [{flags: "--foo 'x", why: w, source: s}]""", "No closing quotation"),
        ('text_only: {flags: "--foo \\\\", why: w, source: s}', "No escaped character"),
        ('arguments: [{flags: "--foo \\0", why: w, source: s}]', "null character"),
        ('environment: {"A B=": x}', "no name of an environment variable"),
        ('environment: {"": x}', "no name of an environment variable"),
        ("environment: {1A: x}", "no name of an environment variable"),
        ("weights: [{hub: '', LAYOUT}]", "is no name"),
        ("weights: [{hub: 'a b', LAYOUT}]", "is no name"),
        ("weights: [{hub: --port, LAYOUT}]", "is no name"),
        ("weights: [{hub: a/b, revision: '', LAYOUT}]", "is no name"),
        ("weights: [{hub: a/b, name: bf16, disk: 1, why: w, source: s, layouts: []}]", "at least 1 item"),
        ("weights: [{hub: a/b, LAYOUT}]", "context.*greater than 0"),
    ],
)
def test_what_cannot_be_served_is_told_when_the_profile_is_read(tmp_path: Path, serving: str, said: str) -> None:
    layout = "name: bf16, disk: 1, why: w, source: s, layouts: [{gpus: 0, memory: 0, context: -5, why: w, source: s}]"
    path = tmp_path / "own.yaml"
    path.write_text(f"extends: smollm2-135m-cpu\nserving: {{{serving.replace('LAYOUT', layout)}}}\n")

    with pytest.raises(Trace2SkillError, match=rf"(?s)own.yaml cannot be read: .*{said}"):
        load_model_profile(str(path))


def test_a_form_of_weights_takes_what_its_smallest_layout_does() -> None:
    serving = load_model_profile("qwen3.5-122b-a10b").serving
    assert serving is not None

    assert serving.contexts == {
        "Qwen/Qwen3.5-122B-A10B": 131_072,
        "Qwen/Qwen3.5-122B-A10B-FP8": 131_072,
        "Qwen/Qwen3.5-122B-A10B-GPTQ-Int4": 32_768,
    }


def test_a_profile_that_extends_itself_ends(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(f"extends: {path}\n")

    with pytest.raises(Trace2SkillError, match="cannot be read"):
        load_profile(str(path))
