"""The prompts: whole files, all placeholders filled, nothing shared between them."""

from hashlib import sha256
from itertools import permutations
from pathlib import Path
from typing import get_args

import pytest
from jinja2 import Environment, UndefinedError, meta

import trace2skill.prompts
from trace2skill.errors import Trace2SkillError
from trace2skill.prompts import Prompts, Role, load_prompts

ROLES: tuple[Role, ...] = get_args(Role)

ERROR: dict[str, object] = {
    "max_lessons": 3,
    "task": "TASK",
    "transcript": "TRANSCRIPT",
    "verdict": "VERDICT",
    "skill_name": "NAME",
    "skill": "SKILL-TEXT",
}
MEMORY: dict[str, object] = {"max_items": 3, "task": "TASK", "transcript": "TRANSCRIPT", "verdict": "VERDICT"}
VALUES: dict[Role, dict[str, object]] = {
    "error_analyst": ERROR,
    "error_analyst_answer": ERROR,
    "error_llm": ERROR,
    "draft": {"domain": "DOMAIN", "max_lines": 60},
    "success_analyst": {
        "max_lessons": 3,
        "task": "TASK",
        "transcript": "TRANSCRIPT",
        "skill_name": "NAME",
        "skill": "SKILL-TEXT",
    },
    "patch": {"lessons": "LESSONS", "outline": "OUTLINE"},
    "merger": {"min_support": 7, "files": [{"path": "PATH", "numbered": "NUMBERED"}], "edits": "EDITS"},
    "memory_success": MEMORY,
    "memory_failure": MEMORY,
    "memory_workflow": {"max_items": 3, "task": "TASK", "transcript": "TRANSCRIPT"},
    "memory_judge": {"task": "TASK", "transcript": "TRANSCRIPT"},
    "resolver": {"files": [{"path": "PATH", "numbered": "NUMBERED"}], "kept": "KEPT", "edits": "EDITS"},
    "editor": {
        "files": [{"path": "PATH", "text": "NUMBERED"}],
        "size": "SIZE",
        "number": 17,
        "batches": 71,
        "lessons": "LESSONS",
    },
    "consolidator": {"files": [{"path": "PATH", "text": "NUMBERED"}], "size": "SIZE", "changelog": "CHANGELOG"},
}


def given(role: Role) -> list[str]:
    values = [value for value in VALUES[role].values() if not isinstance(value, list)]
    return [*map(str, values), *(["PATH", "NUMBERED"] if "files" in VALUES[role] else [])]


@pytest.mark.parametrize("role", ROLES)
def test_every_value_lands_in_the_prompt_and_no_placeholder_is_left(role: Role) -> None:
    text = Prompts().render(role, **VALUES[role])

    assert [value for value in given(role) if value not in text] == []
    assert "{{" not in text
    assert "{%" not in text


@pytest.mark.parametrize("role", ROLES)
def test_the_placeholders_are_exactly_the_known_ones(role: Role) -> None:
    assert meta.find_undeclared_variables(Environment().parse(Prompts().source(role))) == VALUES[role].keys()


@pytest.mark.parametrize(("role", "missing"), [(role, name) for role in ROLES for name in VALUES[role]])
def test_a_missing_value_is_an_error(role: Role, missing: str) -> None:
    values = {name: value for name, value in VALUES[role].items() if name != missing}

    with pytest.raises(UndefinedError, match=missing):
        Prompts().render(role, **values)


def test_a_file_without_its_lines_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="numbered"):
        Prompts().render("merger", **{**VALUES["merger"], "files": [{"path": "PATH"}]})


@pytest.mark.parametrize("role", ROLES)
def test_values_are_text_and_never_templates_or_markup(role: Role) -> None:
    hostile = "{{ 7 * 7 }} {% if x %} <b> & \"quoted\" 'text' ```"
    name = next(name for name, value in VALUES[role].items() if isinstance(value, str))

    assert hostile in Prompts().render(role, **{**VALUES[role], name: hostile})


def test_no_prompt_contains_or_includes_another() -> None:
    bodies = {role: Prompts().source(role) for role in ROLES}
    for one, other in permutations(ROLES, 2):
        assert bodies[one].strip() not in bodies[other]
        assert f"{one}.md" not in bodies[other]
    assert [role for role, body in bodies.items() if "{% include" in body or "{% extends" in body] == []


def test_every_file_has_a_role_and_every_role_a_file() -> None:
    folder = Path(trace2skill.prompts.__file__).parent

    assert {path.stem for path in folder.glob("*.md")} == set(ROLES)


def test_digests_are_those_of_the_files_and_differ() -> None:
    folder = Path(trace2skill.prompts.__file__).parent
    digests = Prompts().digests()

    assert digests == {role: sha256((folder / f"{role}.md").read_bytes()).hexdigest() for role in ROLES}
    assert len(set(digests.values())) == len(ROLES)
    assert Prompts().digests() == digests


def test_a_folder_replaces_the_prompts_that_it_holds(tmp_path: Path) -> None:
    (tmp_path / "patch.md").write_text("Lessons: {{ lessons }}")
    own = load_prompts(tmp_path)

    assert own.render("patch", lessons="LESSONS") == "Lessons: LESSONS"
    assert own.source("merger") == Prompts().source("merger")
    differing = [role for role in ROLES if own.digests()[role] != Prompts().digests()[role]]
    assert differing == ["patch"]


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        (None, "", "holds no prompt"),
        ("patches.md", "x", "patches.md names no role. The prompts are error_analyst.md"),
        ("patch.md", "{{ lessons", "patch.md is no template"),
        ("patch.md", "{{ lesson }}", "has the placeholder 'lesson'; those filled there are lessons, outline"),
    ],
)
def test_a_folder_that_cannot_be_used_is_refused(tmp_path: Path, name: str | None, text: str, problem: str) -> None:
    if name:
        (tmp_path / name).write_text(text)

    with pytest.raises(Trace2SkillError, match=problem):
        load_prompts(tmp_path)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Trace2SkillError, match="no such folder"):
        load_prompts(tmp_path / "gone")
