"""The prompts, one whole file per role, and their rendering.

In: the values that a role's prompt has places for. Out: its text. A folder of the user's may replace any of them.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Literal, get_args

from jinja2 import Environment, StrictUndefined, Template, TemplateError, meta

from trace2skill.errors import Trace2SkillError

Role = Literal[
    "error_analyst",
    "error_analyst_answer",
    "error_llm",
    "success_analyst",
    "patch",
    "merger",
    "resolver",
    "draft",
    "editor",
    "consolidator",
    "memory_success",
    "memory_failure",
    "memory_workflow",
    "memory_judge",
]
"""`error_analyst_answer` is for tasks without a sandbox, `error_llm` for error analysis in a single call, `patch` for
the last turn of all analysts, `draft` for a skill without trajectories, `editor` and `consolidator` for sequential
editing; those that begin with `memory` fill banks."""

_CLOSING = re.compile(
    r"</\s*(task|transcript|verdict|skill|lessons|outline|file|edits|kept|conflicting|domain|changelog)\s*>",
    re.IGNORECASE,
)

_ENVIRONMENT = Environment(
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=False,
    autoescape=False,
)


@dataclass(frozen=True)
class Prompts:
    """The prompts of a run: this package's, and in their place those that a folder of the user's holds."""

    folder: Path | None = None
    """Folder with `<role>.md` files; roles without a file there keep this package's prompt."""

    def source(self, role: Role) -> str:
        """The template of a role."""
        own = self.folder / f"{role}.md" if self.folder else None
        if own and own.is_file():
            return own.read_text(encoding="utf-8")
        return files(__name__).joinpath(f"{role}.md").read_text(encoding="utf-8")

    def render(self, role: Role, **values: object) -> str:
        """A role's prompt with its placeholders filled. No value can end the block that it stands in.

        Raises:
            jinja2.UndefinedError: A placeholder has no value.
        """
        return _template(self.source(role)).render(**{name: _inside(value) for name, value in values.items()})

    def digests(self) -> dict[str, str]:
        """SHA-256 of each template, for the run's record."""
        return {role: sha256(self.source(role).encode()).hexdigest() for role in get_args(Role)}


def load_prompts(folder: Path | None) -> Prompts:
    """The prompts of a run.

    Args:
        folder: Prompts of the user's own, `<role>.md`; None for this package's.

    Raises:
        Trace2SkillError: The folder is missing, holds no prompt or one of an unknown role, or a prompt is no template
            or has a placeholder that its role does not fill.
    """
    if folder is None:
        return Prompts()
    known = get_args(Role)
    if not folder.is_dir():
        raise Trace2SkillError(
            f"--prompts {folder}: no such folder. It holds files named after roles: {_named(known)}."
        )
    found = sorted(path.stem for path in folder.glob("*.md"))
    if not found or (unknown := [role for role in found if role not in known]):
        problem = f"{unknown[0]}.md names no role" if found else "it holds no prompt"
        raise Trace2SkillError(f"--prompts {folder}: {problem}. The prompts are {_named(known)}.")
    own, bundled = Prompts(folder), Prompts()
    for role in known:
        try:
            placeholders = _placeholders(own.source(role))
        except (TemplateError, UnicodeDecodeError) as error:
            raise Trace2SkillError(f"--prompts {folder}: {role}.md is no template: {error}.") from error
        if not placeholders:
            raise Trace2SkillError(f"--prompts {folder}: {role}.md has no placeholder, so its model would see nothing.")
        if strange := sorted(placeholders - (filled := _placeholders(bundled.source(role)))):
            raise Trace2SkillError(
                f"--prompts {folder}: {role}.md has the placeholder '{strange[0]}'; those filled there are "
                f"{', '.join(sorted(filled))}."
            )
    return own


@lru_cache(maxsize=32)
def _template(source: str) -> Template:
    return _ENVIRONMENT.from_string(source)


def _inside(value: object) -> object:
    """A value whose texts hold none of the closing tags of prompts."""
    if isinstance(value, str):
        return _CLOSING.sub(r"<\\/\1>", value)
    if isinstance(value, dict):
        return {key: _inside(item) for key, item in value.items()}
    return [_inside(item) for item in value] if isinstance(value, list) else value


def _placeholders(source: str) -> set[str]:
    return meta.find_undeclared_variables(_ENVIRONMENT.parse(source))


def _named(roles: tuple[str, ...]) -> str:
    return ", ".join(f"{role}.md" for role in roles)
