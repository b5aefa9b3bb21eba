"""`trace2skill skill`: check a skill folder, compare two, ask who wrote which line, draft one, make controls of one."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import click

from trace2skill.baselines.controls import CONTROL, TOLERANCE, ControlKind, lexical_control, make_control
from trace2skill.cli.printing import say, say_aside, show_json, show_line
from trace2skill.edits.provenance import BlameEdit, BlameLine, best_supported, blame
from trace2skill.evolution.draft import draft_skill
from trace2skill.models.sampling import bundled_profiles
from trace2skill.models.simulated import NOTICE
from trace2skill.skill.diff import diff_skills
from trace2skill.skill.folder import SKILL_MD, Skill, check_skill, load_skill
from trace2skill.skill.hazards import hazards_of, hidden_in
from trace2skill.skill.sections import BOM

_NAMED = 4
"""Trajectories that the terminal names; the rest are in the count."""


@click.group("skill")
def skill_group() -> None:
    """Look at skill folders, and draft new ones."""


@skill_group.command("check")
@click.argument("path", type=click.Path(path_type=Path), help="Folder of the skill.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def check_command(path: Path, as_json: bool) -> None:
    """Check a skill folder: format, size limits, hidden text. What could do harm is flagged."""
    skill = load_skill(path)
    findings = [*check_skill(skill), *_hidden(skill)]
    flags = [f"{file} {hazard}" for file, hazard in hazards_of(skill)]
    if as_json:
        show_json(
            {
                "name": skill.name,
                "description": skill.description,
                "digest": skill.digest,
                "files": list(skill.files),
                "findings": findings,
                "flags": flags,
            }
        )
    else:
        for finding in findings:
            show_line(f"{path}: {finding}")
        for flag in flags:
            show_line(f"{path}: flagged: {flag}")
    if findings:
        sys.exit(1)
    if not as_json:
        size = f"{len(skill.files)} files, {len(skill.lines(SKILL_MD))} lines in {SKILL_MD}"
        but = f"; {len(flags)} flags, see above" if flags else ""
        show_line(f"{path}: skill '{skill.name}' is valid ({size}){but}.")


@skill_group.command("diff")
@click.argument("before", type=click.Path(path_type=Path), help="Folder of the older skill.")
@click.argument("after", type=click.Path(path_type=Path), help="Folder of the newer skill, or the run folder it is in.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def diff_command(before: Path, after: Path, as_json: bool) -> None:
    """Show what changed between two skills: sections first, then lines."""
    difference = diff_skills(load_skill(before), load_skill(after))
    if as_json:
        show_json(asdict(difference))
        return
    for change in difference.sections:
        place = f"{change.file}: {change.section}" if change.section else change.file
        show_line(f"{change.change:<8} {place} (+{change.added} -{change.removed})")
    if not difference.text:
        say("The skills are the same.")
        return
    click.echo()
    for line in difference.text.removesuffix("\n").split("\n"):
        show_line(line)


@skill_group.command("blame")
@click.argument("path", type=click.Path(path_type=Path), help="Run folder of an evolution.")
@click.option("--all", "every", is_flag=True, help="Also the lines that the initial skill had.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line, or per edit.")
@click.option("--top", type=click.IntRange(1), metavar="N", help="The N best-supported edits with their lines.")
def blame_command(path: Path, every: bool, as_json: bool, top: int | None) -> None:
    """Show the lines that an evolution changed, with their support and their trajectories."""
    provenance, lines = blame(path)
    if provenance.simulated and not as_json:
        say(provenance.simulated)
    if top:
        for edit in best_supported(lines, top):
            _print_edit(edit, as_json)
        return
    shown = [line for line in lines if every or line.edit]
    for line in shown:
        if as_json:
            show_json(line._asdict())
        else:
            show_line(f"{_origin(line)} {line.file}:{line.number:<4} {line.text}")
    if not as_json:
        say_aside(_rest(len(lines), len(shown)))


def _rest(lines: int, shown: int) -> str:
    """How much of the skill is not shown."""
    if shown == lines:
        return f"All {lines} lines."
    return f"{shown} of {lines} lines come from the evolution; --all shows the rest."


@skill_group.command("draft")
@click.option("--domain", required=True, help="What the skill is for, in a sentence.")
@click.option("--model", required=True, help="Model that writes it from what it knows.")
@click.option(
    "--output", required=True, type=click.Path(path_type=Path), help="Folder of the skill; its last part is the name."
)
@click.option("--profile", help=f"Sampling profile: {', '.join(bundled_profiles())}, or a YAML file.")
@click.option("--prompts", type=click.Path(path_type=Path), help="Folder with a draft.md of your own.")
@click.option("--seed", type=int, default=42, show_default=True, help="Seed of the model's call.")
def draft_command(domain: str, output: Path, model: str, **options: Any) -> None:
    """Draft a parametric skill: from a model's own knowledge, without trajectories. A start for creation mode."""
    folder = draft_skill(domain, output, model, display="none", **options)
    skill = load_skill(folder)
    say(f"{folder}: skill '{skill.name}', {len(skill.lines(SKILL_MD))} lines. {skill.description}")


@skill_group.command("control")
@click.argument("kind", type=click.Choice(get_args(ControlKind)), help="Which control.")
@click.argument("evolved", type=click.Path(path_type=Path), help="The evolved skill, or its run folder.")
@click.option("--output", required=True, type=click.Path(path_type=Path), help="Folder for the control and its record.")
@click.option(
    "--seed", type=click.IntRange(0), default=42, show_default=True, help="sections-shuffled: seed of the order."
)
@click.option(
    "--from",
    "donor",
    type=click.Path(path_type=Path),
    help="length-matched: the skill whose text is taken.  [default: one of this project's]",
)
@click.option(
    "--logs", multiple=True, type=click.Path(path_type=Path), help="lexical: the logs that the run was made from."
)
@click.option("--skill", type=click.Path(path_type=Path), help="lexical: the skill that the run started from.")
def control_command(
    kind: ControlKind,
    evolved: Path,
    output: Path,
    seed: int,
    donor: Path | None,
    logs: tuple[Path, ...],
    skill: Path | None,
) -> None:
    """Make a control of an evolved skill: what the skill must beat before its content can be given the credit.

    KIND is generic-checklist (a short checklist for any task), length-matched (as long, about something else),
    sections-shuffled (the same sections in another order), or lexical (a run's analyses, merged by their wording
    alone: `evolve --reuse-analyses EVOLVED --merger lexical`).
    """
    if kind == "lexical":
        if not (logs and skill):
            raise click.UsageError(
                "lexical merges the run's analyses again: name its --logs, and the --skill it began with."
            )
        control, _ = lexical_control(evolved, output, logs, skill)
    else:
        control = make_control(kind, evolved, output, seed=seed, donor=donor)
    if control.simulated:
        say(control.simulated)
    by = f", text of '{control.donor}' (within {TOLERANCE:.0%})" if control.donor else ""
    say(f"{kind}: {control.characters} characters in {SKILL_MD}, {control.source_characters} in that of {evolved}{by}.")
    show_line(f"skill    {output / control.skill}")
    show_line(f"record   {output / CONTROL}")


def _hidden(skill: Skill) -> list[str]:
    """Text that a reader of the skill would not see, the stamp of the stand-in aside."""
    texts = {path: skill.files[path].decode() for path in skill.files if path.endswith(".md") and skill.is_text(path)}
    found = {path: hidden_in(text.replace(f"<!-- {NOTICE} -->", "").removeprefix(BOM)) for path, text in texts.items()}
    return [f"{path}: holds {what}" for path, what in found.items() if what]


def _print_edit(edit: BlameEdit, as_json: bool) -> None:
    if as_json:
        lines = [{"file": line.file, "number": line.number, "text": line.text} for line in edit.lines]
        show_json({**asdict(edit), "lines": lines})
        return
    show_line(_origin(edit).rstrip())
    for line in edit.lines:
        if line.text.strip():
            show_line(f"      {line.file}:{line.number:<4} {line.text}")


def _origin(row: BlameLine | BlameEdit) -> str:
    if not row.edit:
        return f"{'-':>4}  {'initial':<14} {'':<28}"
    named = ",".join(row.support[:_NAMED]) + ("..." if row.support_count > _NAMED else "")
    return f"{row.support_count:>4}  {row.edit:<14} {named:<28}"


COMMAND = skill_group
