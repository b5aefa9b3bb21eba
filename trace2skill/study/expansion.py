"""From a declaration to cells and the rows that they give. What is the same in several rows is one cell."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product

from trace2skill.errors import StudyError
from trace2skill.study.building import Builder
from trace2skill.study.cells import Cell
from trace2skill.study.declaration import (
    CONTROLS,
    EQUAL_TOKENS,
    HUMAN_WRITTEN,
    MEMORIES,
    NO_SKILL,
    PARAMETRIC,
    Declaration,
    DeclaredArms,
    Primary,
    is_derived,
    is_evolved,
)
from trace2skill.study.evaluations import Mode, SplitName


@dataclass(frozen=True, kw_only=True)
class Row:
    """An evaluation that the study wants, and the cells behind it."""

    domain: str
    benchmark: str
    split: SplitName
    user: str
    author: str | None
    mode: Mode | None
    condition: str
    seed: int | None
    cell: Cell
    """The cell that plays the split."""
    artefact: Cell | None
    """The cell that made the skill or bank."""

    @property
    def key(self) -> str:
        """Stable name."""
        benchmark = self.benchmark if self.split == "test" else f"{self.benchmark}@evolve"
        parts = (benchmark, self.user, self.mode, self.condition, self.author, self.seed)
        return "/".join("-" if part is None else str(part) for part in parts)


@dataclass(frozen=True, kw_only=True)
class Made:
    """A skill or a bank, as an agent gets it."""

    condition: str
    author: str | None = None
    mode: Mode | None = None
    seed: int | None = None
    source: Cell | str | None = None
    """The cell that made it, or a skill's folder; none for no skill."""
    argument: str = "skill"
    """Argument of the task that takes it."""


@dataclass(kw_only=True)
class Expansion:
    """All cells of a study, in an order in which none stands before what it needs, and its rows."""

    rows: dict[str, Row] = field(default_factory=dict)
    """By key."""
    cells: dict[str, Cell] = field(default_factory=dict)
    """By digest."""

    def add(self, row: Row) -> None:
        """Add a row with its cells.

        Raises:
            StudyError: There is another evaluation of that name.
        """
        if self.rows.setdefault(row.key, row).cell.digest != row.cell.digest:
            raise StudyError(
                f"Two arms give different evaluations the name {row.key}: they differ in `of`, or in the skills of "
                "their domains. Name the benchmark twice, or leave one out."
            )
        self._add(row.cell)

    def _add(self, cell: Cell) -> None:
        if cell.digest not in self.cells:
            for needed in cell.needs.values():
                self._add(needed)
            self.cells[cell.digest] = cell


def expand(declaration: Declaration) -> Expansion:
    """The cells and rows of a declaration.

    Raises:
        Trace2SkillError: A skill or profile that it names cannot be read, two arms contradict each other, or a primary
            comparison is of evaluations that no arm has.
    """
    build = Builder(declaration)
    expansion = Expansion()
    for arms in declaration.arms:
        for row in _rows(declaration, arms, build):
            expansion.add(row)
    for primary in declaration.primary:
        _check_primary(primary, expansion)
    # A cell that serves rows of several tables is built several times: each row gets the one that is kept.
    for key, row in expansion.rows.items():
        expansion.rows[key] = replace(row, cell=expansion.cells[row.cell.digest])
    return expansion


def _check_primary(primary: Primary, expansion: Expansion) -> None:
    if primary.condition in (NO_SKILL, HUMAN_WRITTEN) and (primary.author or primary.mode):
        raise StudyError(
            f"The primary comparison '{primary.name}' is of {primary.condition}, which nobody evolves: leave out "
            "author and mode. To hold an evolved skill against it, let that be `condition`, and this `against`."
        )
    for condition in (primary.condition, primary.against):
        made = condition == PARAMETRIC or is_evolved(condition) or is_derived(condition)
        wanted = (primary.benchmark, primary.user, condition)
        found = [
            row
            for row in expansion.rows.values()
            if row.split == "test" and (row.benchmark, row.user, row.condition) == wanted
        ]
        if made and condition != PARAMETRIC:
            found = [row for row in found if (row.author, row.mode) == (primary.author, primary.mode)]
        if not found:
            by = f" by {primary.author} ({primary.mode})" if made and condition != PARAMETRIC else ""
            raise StudyError(
                f"The primary comparison '{primary.name}' needs {primary.user} with {condition}{by} on "
                f"{primary.benchmark}, which no arm has. Add it to `arms`, or correct the comparison."
            )


def _rows(declaration: Declaration, arms: DeclaredArms, build: Builder) -> Iterator[Row]:
    domain = declaration.domains[arms.domain]
    users = arms.users or tuple(declaration.models)
    for made in _made(declaration, arms, build):
        yield from _on_evolve_split(declaration, arms, made, build)
        for user, benchmark in product(users, arms.test_on or domain.test_on):
            if made.author is None or made.author == user or (arms.pairs == "all" and made.condition != PARAMETRIC):
                given = _for_user(made, user, benchmark, build)
                cell = build.play(user, benchmark, "test", given.source, given.argument, given.seed)
                yield _row(arms.domain, benchmark, "test", user, given, cell)


def _made(declaration: Declaration, arms: DeclaredArms, build: Builder) -> Iterator[Made]:
    """Everything that the arms' agents get."""
    authors = arms.authors or tuple(declaration.models)
    runs = _runs(declaration)
    for condition in arms.conditions:
        if condition in (NO_SKILL, HUMAN_WRITTEN):
            path = declaration.domains[arms.domain].human_written if condition == HUMAN_WRITTEN else None
            yield from (Made(condition=condition, seed=seed, source=path) for seed in runs)
        elif condition == PARAMETRIC:
            for author, seed in product(authors, runs):
                draft = build.draft(arms.domain, author)
                yield Made(condition=condition, author=author, seed=seed, source=draft)
        else:
            for author, mode in product(authors, arms.modes):
                yield from _evolved(declaration, arms, condition, author, mode, build)


def _evolved(
    declaration: Declaration, arms: DeclaredArms, condition: str, author: str, mode: Mode, build: Builder
) -> Iterator[Made]:
    made_of = arms.of if is_derived(condition) and arms.of else condition
    argument = "memory" if made_of in MEMORIES else "skill"
    shared = _shares(declaration, arms.domain, author, mode)
    evolved = {seed: build.evolve(arms.domain, made_of, author, mode, seed, reuse=shared) for seed in declaration.seeds}
    chosen: Mapping[int | None, Cell] = dict(evolved.items())
    if declaration.selection == "best" and len(evolved) > 1:
        best = build.select(arms.domain, made_of, author, mode, evolved, argument)
        chosen = dict.fromkeys(_runs(declaration), best)
    for seed, cell in chosen.items():
        source = build.control(condition, cell, seed) if condition in CONTROLS else cell
        yield Made(condition=condition, author=author, mode=mode, seed=seed, source=source, argument=argument)


def _runs(declaration: Declaration) -> tuple[int | None, ...]:
    """The seeds of agents that no evolution's seed belongs to."""
    return declaration.seeds if declaration.seed_agents else (None,)


def _shares(declaration: Declaration, domain: str, author: str, mode: Mode) -> bool:
    """Whether the study has the condition `combined` there, whose analyses others may share."""
    return declaration.reuse_analyses and any(
        arms.domain == domain
        and "combined" in (*arms.conditions, arms.of)
        and mode in arms.modes
        and author in (arms.authors or declaration.models)
        for arms in declaration.arms
    )


def _for_user(made: Made, user: str, benchmark: str, build: Builder) -> Made:
    """What a user gets; of `equal-tokens` the budget, which is what the agent with the skill spent."""
    if made.condition != EQUAL_TOKENS:
        return made
    spent = build.play(user, benchmark, "test", made.source, made.argument, made.seed)
    return replace(made, source=spent, argument="match_tokens")


def _on_evolve_split(declaration: Declaration, arms: DeclaredArms, made: Made, build: Builder) -> Iterator[Row]:
    """The rows of the evolve split: what authors played before, and what a selection went by."""
    if not is_evolved(made.condition) or made.mode is None or made.author is None:
        return
    benchmark = declaration.domains[arms.domain].evolve_on
    start = build.start(arms.domain, made.author, made.mode)
    before = Made(
        condition=HUMAN_WRITTEN if made.mode == "deepening" else PARAMETRIC,
        author=made.author if made.mode == "creation" else None,
        source=start,
    )
    yield _row(
        arms.domain, benchmark, "evolve", made.author, before, build.rollout(arms.domain, made.author, made.mode)
    )
    if isinstance(made.source, Cell) and made.source.kind == "select":
        for seed in declaration.seeds:
            candidate = replace(made, seed=seed, source=made.source.needs[f"seed-{seed}"])
            played = made.source.needs[f"played-{seed}"]
            yield _row(arms.domain, benchmark, "evolve", made.author, candidate, played)


def _row(domain: str, benchmark: str, split: SplitName, user: str, made: Made, cell: Cell) -> Row:
    return Row(
        domain=domain,
        benchmark=benchmark,
        split=split,
        user=user,
        author=made.author,
        mode=made.mode,
        condition=made.condition,
        seed=made.seed,
        cell=cell,
        artefact=made.source if isinstance(made.source, Cell) and made.source.kind != "evaluate" else None,
    )
