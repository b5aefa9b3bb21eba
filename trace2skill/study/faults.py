"""What the parts of a declaration must have in common: names that are there, splits that may be used, whole arms."""

import difflib
import re
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from pydantic import ValidationError

from trace2skill.evolution.configuration import EvolveConfig
from trace2skill.study.declaration import (
    ANALYSTS,
    CONDITIONS,
    CONTROLS,
    HUMAN_WRITTEN,
    MEMORIES,
    PARAMETRIC,
    SEQUENTIAL,
    Declaration,
    DeclaredArms,
    Primary,
    is_derived,
    is_evolved,
)

Place = tuple[str | int, ...]
"""Path of a value in the declaration."""

_OURS = ("method", "analysts", "batch", "seed", "model", "model_base_url", "model_args", "profile", "reuse_analyses")
"""Settings of an evolution that follow from other parts of the declaration."""


class Fault(NamedTuple):
    """What is wrong, and where."""

    place: Place
    text: str


def nearest(name: str, known: Sequence[str]) -> str:
    """The end of a sentence on an unknown name."""
    found = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean '{found[0]}'?" if found else "."


def faults(declaration: Declaration) -> Iterator[Fault]:
    """Everything that is wrong with a declaration whose form is right."""
    yield from _domains(declaration)
    yield from _reserved(declaration)
    for number, arms in enumerate(declaration.arms):
        yield from _arms(declaration, arms, ("arms", number))
    for number, primary in enumerate(declaration.primary):
        yield from _primary(declaration, primary, ("primary", number))
        if any(row.name == primary.name for row in declaration.primary[:number]):
            text = f"two primary comparisons are called '{primary.name}'. Name them apart."
            yield Fault(("primary", number, "name"), text)
    yield from _evolution(declaration)
    if len(set(declaration.seeds)) < len(declaration.seeds):
        yield Fault(("seeds",), "a seed is named twice. Name each once.")


def _known(name: str, known: Collection[str], kind: str, place: Place) -> Iterator[Fault]:
    if name not in known:
        yield Fault(place, f"there is no {kind} '{name}'{nearest(name, list(known))} Declared: {', '.join(known)}.")


def _domains(declaration: Declaration) -> Iterator[Fault]:
    for name, domain in declaration.domains.items():
        place: Place = ("domains", name)
        yield from _known(domain.evolve_on, declaration.benchmarks, "benchmark", (*place, "evolve_on"))
        for field in ("test_on", "in_distribution"):
            for number, benchmark in enumerate(getattr(domain, field)):
                yield from _known(benchmark, declaration.benchmarks, "benchmark", (*place, field, number))
        source = declaration.benchmarks.get(domain.evolve_on)
        if source and source.evolve is None:
            yield Fault(
                (*place, "evolve_on"),
                f"'{domain.evolve_on}' is for evaluation only: it declares no `evolve` split. Evolve on another "
                "benchmark, or name its split.",
            )
        if source and source.evolve == source.test:
            yield Fault(
                ("benchmarks", domain.evolve_on, "evolve"),
                f"the split '{source.test}' of '{domain.evolve_on}' would be evolved on and tested. Name two splits.",
            )


def _arms(declaration: Declaration, arms: DeclaredArms, place: Place) -> Iterator[Fault]:
    yield from _known(arms.domain, declaration.domains, "domain", (*place, "domain"))
    for field in ("authors", "users"):
        for number, name in enumerate(getattr(arms, field)):
            yield from _known(name, declaration.models, "model", (*place, field, number))
    for number, name in enumerate(arms.test_on):
        yield from _known(name, declaration.benchmarks, "benchmark", (*place, "test_on", number))
    for number, condition in enumerate(arms.conditions):
        if not _is_condition(condition):
            yield Fault(
                (*place, "conditions", number),
                f"there is no condition '{condition}'{nearest(condition, CONDITIONS)} Known: {', '.join(CONDITIONS)}.",
            )
    yield from _starts(declaration, arms, place)


def _is_condition(name: str) -> bool:
    batch = name.removeprefix(SEQUENTIAL)
    return name in CONDITIONS or (batch != name and re.fullmatch(r"[1-9][0-9]{0,5}", batch) is not None)


def _starts(declaration: Declaration, arms: DeclaredArms, place: Place) -> Iterator[Fault]:
    """Whether each condition has what it starts from."""
    domain = declaration.domains.get(arms.domain)
    if domain is None:
        return
    made = [name for name in arms.conditions if is_evolved(name) or is_derived(name)]
    if made and not arms.modes:
        yield Fault(place, f"{', '.join(made)}: say where they start, with `modes: [deepening]`, [creation] or both.")
    starts = {"deepening": "human_written", "creation": "draft"}
    needed = {starts[mode] for mode in arms.modes}
    needed |= {"human_written"} & ({"human_written"} if HUMAN_WRITTEN in arms.conditions else set())
    needed |= {"draft"} if PARAMETRIC in arms.conditions else set()
    for field in sorted(needed):
        if getattr(domain, field) is None:
            yield Fault(
                ("domains", arms.domain), f"arms need `{field}` of the domain '{arms.domain}', which has none. Add it."
            )
    derived = [name for name in arms.conditions if is_derived(name)]
    if derived and arms.of is None:
        yield Fault(place, f"{', '.join(derived)}: say which condition they are made of, such as `of: combined`.")
    if arms.of is not None and not is_evolved(arms.of):
        yield Fault((*place, "of"), f"'{arms.of}' has no skill or bank of its own. Name an evolved condition.")
    if arms.of in MEMORIES and (wrong := [name for name in derived if name in CONTROLS]):
        yield Fault((*place, "of"), f"{', '.join(wrong)}: controls are made of skills, and '{arms.of}' makes a bank.")
    if "lexical" in derived and arms.of is not None and arms.of not in ANALYSTS:
        yield Fault((*place, "of"), f"lexical merges the analyses of the parallel method; '{arms.of}' is another one.")
    if "lexical" in derived and declaration.selection == "best" and len(declaration.seeds) > 1:
        yield Fault(place, "lexical needs the run of each seed. Write `selection: none`, or leave lexical out.")


def _primary(declaration: Declaration, primary: Primary, place: Place) -> Iterator[Fault]:
    yield from _known(primary.benchmark, declaration.benchmarks, "benchmark", (*place, "benchmark"))
    for field in ("user", "author"):
        if (name := getattr(primary, field)) is not None:
            yield from _known(name, declaration.models, "model", (*place, field))
    benchmark = declaration.benchmarks.get(primary.benchmark)
    if benchmark:
        yield from _known(primary.metric, benchmark.metrics, "metric", (*place, "metric"))
    conditions = {name for arms in declaration.arms for name in arms.conditions}
    for field in ("condition", "against"):
        yield from _known(getattr(primary, field), sorted(conditions), "condition", (*place, field))
    if primary.condition == primary.against:
        yield Fault((*place, "against"), f"'{primary.against}' would be compared with itself. Name another condition.")


def _reserved(declaration: Declaration) -> Iterator[Fault]:
    for name, benchmark in declaration.benchmarks.items():
        for argument in sorted(_BY_STUDY.keys() & benchmark.args.keys()):
            place = ("benchmarks", name, "args", argument)
            yield Fault(place, f"'{argument}' is given by the study: {_BY_STUDY[argument]}. Leave it out here.")


_BY_STUDY = {
    "split": "name splits with `evolve` and `test` of the benchmark",
    "skill": "name conditions of `arms`",
    "memory": "name conditions of `arms`",
    "match_tokens": "name the condition equal-tokens",
}


def _evolution(declaration: Declaration) -> Iterator[Fault]:
    for name in declaration.evolution:
        if name in _OURS:
            yield Fault(("evolution", name), f"'{name}' follows from conditions, models and seeds. Leave it out.")
        elif name not in EvolveConfig.model_fields:
            known = sorted(EvolveConfig.model_fields.keys() - set(_OURS))
            yield Fault(
                ("evolution", name), f"unknown key '{name}'{nearest(name, known)} Known here: {', '.join(known)}."
            )
    settings = {key: value for key, value in declaration.evolution.items() if key in EvolveConfig.model_fields}
    for key, value in settings.items():
        try:
            EvolveConfig.model_validate({key: value})
        except ValidationError as error:
            yield from (Fault(("evolution", key), f"{key}: {row['msg']}.") for row in error.errors() if row["loc"])
