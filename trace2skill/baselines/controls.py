"""Control skills: what an evolved skill must beat before its content can be given the credit.

No paper's method: controls that published comparisons lack (the reference code of Trace2Skill has none, either). All
keep the name and description of the evolved skill, so that an agent's prompt differs in the body alone.
"""

import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from trace2skill.data.places import bundled, resolve_path
from trace2skill.errors import SkillError
from trace2skill.evolution.evolve import evolve
from trace2skill.evolution.folder import Manifest, read_record
from trace2skill.files import write_atomic
from trace2skill.models.simulated import NOTICE
from trace2skill.skill.folder import MAX_SKILL_LINES, SKILL_MD, Skill, check_skill, load_skill, save_skill
from trace2skill.skill.sections import Document, parse_document

CONTROL = "control.json"
"""The record of a control, beside its skill."""

TOLERANCE = 0.02
"""A skill of matched length differs from the evolved one by at most this share of its characters, or by `WORD`."""
WORD = 20
"""Characters that may lack in any case: words are not cut."""

_FRAME = 5
"""Lines around a body at most: blank ones and the stamp."""

DONORS = ("math-basic", "docvqa-basic", "xlsx")
"""Skills of this project that lend their text."""

CHECKLIST = """\
# Checklist

## Before you start

- Read the task twice. Say in one sentence what is asked for, and in which form it is wanted.
- List what is given and what is missing. Look at the inputs themselves instead of guessing what is in them.
- Note every condition that the task names, also those in passing.

## While you work

- Make a short plan and go step by step.
- Test each step on something small before you rely on it.
- When a step fails, read the message, find the cause, and change one thing at a time.
- Leave alone what the task does not ask you to change.

## Before you finish

- Go through the list of conditions and check each of them against the result.
- Look at the result as its reader will see it: is it complete, in the right place, in the right form?
- Try to find the result in a second way, or check whether it is plausible in kind and size.
- Correct what you find, and check again.
"""

ControlKind = Literal["generic-checklist", "length-matched", "sections-shuffled", "lexical"]


class Control(BaseModel):
    """What a control is, kept beside it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    """Version of this record's form."""
    kind: ControlKind
    """Kind of the control."""
    skill: str
    """Folder of the control's skill, relative to this record."""
    digest: str
    """Its digest."""
    simulated: str
    """The warning that a stand-in model took part in the evolved skill; empty otherwise."""
    source: str
    """The evolved skill, as it was named."""
    source_digest: str
    """Its digest."""
    source_characters: int
    """Characters of its SKILL.md."""
    characters: int
    """Characters of the control's SKILL.md."""
    seed: int | None = None
    """Seed of the order, where one was drawn."""
    donor: str = ""
    """The skill whose text was taken, where one was."""
    donor_digest: str = ""
    """Its digest."""


def make_control(
    kind: Literal["generic-checklist", "length-matched", "sections-shuffled"],
    evolved: str | Path,
    output: str | Path,
    *,
    seed: int = 42,
    donor: str | Path | None = None,
) -> Control:
    """Make a control of an evolved skill without a model.

    Args:
        kind: `generic-checklist`: a short checklist for any task. `length-matched`: a SKILL.md as long as the evolved
            one, with the text of a skill for something else. `sections-shuffled`: the evolved skill with its sections
            in another order.
        evolved: The evolved skill, or its run folder.
        output: Folder that gets the skill's folder and the record.
        seed: Seed of the order.
        donor: The skill for something else; by default the one of this project that has the fewest words in common.

    Returns:
        The record, which is in `control.json`.

    Raises:
        SkillError: A skill cannot be loaded, has too little text for the control, or exists already; the seed is
            negative.
    """
    if seed < 0:
        raise SkillError(f"The order's seed must be at least 0, not {seed}: the order would be that of {-seed}.")
    skill = load_skill(resolve_path(str(evolved)))
    stamp = f"\n<!-- {NOTICE} -->\n" if NOTICE in skill.skill_md else ""
    document = _document(skill)
    lent: Skill | None = None
    if kind == "generic-checklist":
        files = {SKILL_MD: _with_body(document, CHECKLIST, stamp)}
    elif kind == "length-matched":
        lent = load_skill(resolve_path(str(donor))) if donor else _other_domain(skill)
        # What its text links to comes along.
        others = {path: data for path, data in lent.files.items() if path != SKILL_MD}
        files = {**others, SKILL_MD: _with_body(document, _as_long(document, lent), stamp)}
    else:
        files = {**skill.files, SKILL_MD: _with_body(document, _shuffled(document, random.Random(seed)), stamp)}
    control = Skill.from_files(files, lent.executable if lent else skill.executable)
    if findings := check_skill(control):
        raise SkillError(f"The control of {evolved} would not be a valid skill: {'; '.join(findings)}.")
    save_skill(control, Path(output))
    return _record(
        Path(output),
        Control(
            kind=kind,
            skill=control.name,
            digest=control.digest,
            simulated=NOTICE if stamp else "",
            source=str(evolved),
            source_digest=skill.digest,
            source_characters=_length(skill),
            characters=_length(control),
            seed=seed if kind == "sections-shuffled" else None,
            donor=(str(donor) if donor else lent.name) if lent else "",
            donor_digest=lent.digest if lent else "",
        ),
    )


def lexical_control(
    run: str | Path, output: str | Path, logs: Sequence[str | Path], initial: str | Path
) -> tuple[Control, Manifest]:
    """The skill that a run's analyses give when their wording alone merges them: no model is asked.

    Args:
        run: Run folder of the parallel method.
        output: Run folder of the control.
        logs: The logs that the run was made from.
        initial: The skill that it started from.

    Raises:
        Trace2SkillError: As `evolve --reuse-analyses RUN --merger lexical` does; or the run is of another method.
    """
    config = read_record(Path(run)).config
    if config.method != "parallel":
        raise SkillError(f"{run} is a run of --method {config.method}, which merges nothing. Name a parallel one.")
    evolved = load_skill(Path(run))
    changes = {"merger": "lexical", "reuse_analyses": str(run)}
    manifest = evolve(logs, initial, output, config.model_copy(update=changes), display="none")
    made = load_skill(Path(output))
    record = Control(
        kind="lexical",
        skill=made.name,
        digest=made.digest,
        simulated=manifest.simulated,
        source=str(run),
        source_digest=evolved.digest,
        source_characters=_length(evolved),
        characters=_length(made),
    )
    return _record(Path(output), record), manifest


def _record(folder: Path, control: Control) -> Control:
    write_atomic(folder / CONTROL, control.model_dump_json(indent=2) + "\n")
    return control


def _length(skill: Skill) -> int:
    """Characters of SKILL.md, a line end being one."""
    return len(skill.skill_md.replace("\r\n", "\n"))


def _document(skill: Skill) -> Document:
    """SKILL.md without the stand-in's stamp, which every control puts at its own end."""
    text = skill.skill_md.replace(f"<!-- {NOTICE} -->", "")
    return parse_document(text.encode())


def _with_body(document: Document, body: str, stamp: str) -> bytes:
    """A SKILL.md with the frontmatter of another."""
    front = "\n".join(document.lines[: document.front])
    return f"{front}\n\n{body.strip()}\n{stamp}".replace("\n", document.newline).encode()


def _shuffled(document: Document, draw: random.Random) -> str:
    """The body with its main sections in another order; what stands before the first of them stays there."""
    levels = [section.level for section in document.sections]
    main = next((level for level in sorted(set(levels)) if levels.count(level) > 1), None)
    spans = [(section.start, section.end) for section in document.sections if section.level == main]
    if len(spans) < 2:
        raise SkillError("Sections can only be shuffled where there are two of one level; this skill has none.")
    order = list(spans)
    while order == spans:
        draw.shuffle(order)
    # A section keeps what lies between its end and the next one, such as a heading of a higher level, in its place.
    pieces = ["\n".join(document.lines[document.front : spans[0][0]])]
    for (start, end), (_, stop), following in zip(order, spans, [*spans[1:], None], strict=True):
        pieces.append("\n".join(document.lines[start:end]))
        pieces.append("\n".join(document.lines[stop : following[0] if following else len(document.lines)]))
    text = "\n\n".join(piece.strip("\n") for piece in pieces if piece.strip())
    titles = sorted(section.title for section in parse_document(text.encode()).sections)
    if titles != sorted(section.title for section in document.sections):
        raise SkillError("The skill's sections cannot change places: a code block in one of them is never closed.")
    return text


def _other_domain(skill: Skill) -> Skill:
    """The skill of this project that has the fewest words in common with another."""
    words = _words(skill)
    donors = [load_skill(bundled(f"skills/{name}")) for name in DONORS]
    return min(donors, key=lambda donor: len(words & _words(donor)) / len(_words(donor)))


def _words(skill: Skill) -> set[str]:
    return set(re.findall(r"[a-z]{4,}", skill.skill_md.lower()))


def _as_long(document: Document, donor: Skill) -> str:
    """A donor's text, repeated and cut until it is as long as the body of a SKILL.md.

    Whole sections as long as they fit, then lines of the next ones, then words of the next line. Where its lines would
    be more than a skill may have, those of each section are joined into one.
    """
    wanted = len("\n".join(document.lines[document.front :]).strip())
    sections = list(_sections(_document(donor)))
    text = _repeated(sections, wanted)
    if text.count("\n") + document.front + _FRAME >= MAX_SKILL_LINES:
        text = _repeated([_joined(section) for section in sections], wanted)
    if wanted - len(text) > max(WORD, TOLERANCE * wanted):
        raise SkillError(
            f"The text of '{donor.name}' cannot be cut to a body of {wanted} characters within {TOLERANCE:.0%}. Name "
            "another skill with --from."
        )
    return text


def _repeated(sections: Sequence[str], wanted: int) -> str:
    kept: list[str] = []
    while sections and len("\n\n".join([*kept, sections[len(kept) % len(sections)]])) <= wanted:
        kept.append(sections[len(kept) % len(sections)])
    following = len(kept) % max(len(sections), 1)
    return _fill("\n\n".join(kept), "\n\n".join([*sections[following:], *sections[:following]]), wanted)


def _joined(section: str) -> str:
    """A section whose text is one line below its heading; without its code blocks."""
    document = parse_document(section.encode())
    own = document.sections[0].body if document.sections else 0
    kept = [line for number, line in enumerate(document.lines) if number >= own and not _in_block(document, number)]
    text = " ".join(line.strip().removeprefix("- ") for line in kept if line.strip())
    return "\n\n".join(filter(None, ("\n".join(document.lines[:own]).strip(), text)))


def _in_block(document: Document, number: int) -> bool:
    return any(start <= number < end for start, end in document.fences)


def _fill(text: str, more: str, wanted: int) -> str:
    """A text that goes on with the lines of another, then with words, up to a length. Code blocks are left out."""
    document = parse_document(more.encode())
    joint = "\n\n" if text else ""
    for number, line in enumerate(document.lines):
        if _in_block(document, number):
            continue
        if len(text) + len(joint) + len(line) <= wanted:
            text += joint + line
            joint = "\n"
            continue
        for word in line.split(" "):
            if len(text) + len(joint) + len(word) > wanted:
                return text
            text += joint + word
            joint = " "
    return text


def _sections(document: Document) -> Iterator[str]:
    """What stands under each heading up to the next one, heading included; without headings, all of the body."""
    starts = [section.start for section in document.sections] or [document.front]
    for start, end in zip(starts, [*starts[1:], len(document.lines)], strict=True):
        if text := "\n".join(document.lines[start:end]).strip():
            yield text
