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


def test_a_profile_that_extends_itself_ends(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(f"extends: {path}\n")

    with pytest.raises(Trace2SkillError, match="cannot be read"):
        load_profile(str(path))
