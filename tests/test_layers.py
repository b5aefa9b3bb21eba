import ast
import importlib
import pkgutil
import re
from collections import defaultdict
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import trace2skill

ROOT = Path(__file__).parents[1]
# From the top: what stands in a row may import whatever stands below it, and nothing beside or above it.
LAYERS = (
    ("cli",),
    ("report",),
    ("study",),
    ("baselines",),
    ("evolution",),
    ("analysis", "comparison"),
    ("consolidation",),
    ("logs", "edits", "serving"),
    ("models",),
    ("skill", "prompts", "data", "memory", "tables"),
    ("files", "standstill", "text"),
    ("errors", "foreign"),
)
FLOORS = {name: len(LAYERS) - number for number, row in enumerate(LAYERS) for name in row}
# The package itself is its public API; the stand-in and its registry entry stand outside the house.
OUTSIDE = {"__init__", "_registry", "simulation"}
MODULES = {"files", "foreign", "standstill", "tables", "text", "errors"}
# The sandbox needs the package itself only to hide its folder.
LOADERS = {
    "trace2skill",
    "trace2skill.data",
    "trace2skill.errors",
    "trace2skill.foreign",
    "trace2skill.logs",
    "trace2skill.memory",
    "trace2skill.skill",
    "trace2skill.standstill",
}


def imports(package: str) -> Iterator[tuple[Path, str]]:
    """Every import, also those inside functions and those for type checkers alone."""
    for path in sorted((ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                yield path.relative_to(ROOT), node.module
            elif isinstance(node, ast.Import):
                yield from ((path.relative_to(ROOT), alias.name) for alias in node.names)


def room(path: Path) -> str:
    """The package, or the module at the top, that a file of the engine belongs to."""
    return path.parts[1].removesuffix(".py")


def module(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def test_every_package_has_its_floor() -> None:
    rooms = {room(path.relative_to(ROOT)) for path in (ROOT / "trace2skill").rglob("*.py")}

    assert rooms == FLOORS.keys() | OUTSIDE


def test_imports_run_downwards_only() -> None:
    upwards = [
        f"{path} imports {imported}"
        for path, imported in imports("trace2skill")
        if room(path) in FLOORS and imported.startswith("trace2skill.")
        for other in [imported.split(".")[1]]
        if other != room(path) and FLOORS.get(other, len(LAYERS)) >= FLOORS[room(path)]
    ]

    assert upwards == []


def test_no_two_modules_need_each_other() -> None:
    needs: dict[str, set[str]] = defaultdict(set)
    for path, imported in imports("trace2skill"):
        # A package's door names its rooms; the order between packages has a test of its own.
        if imported.startswith("trace2skill.") and path.name != "__init__.py":
            needs[module(path)].add(imported)

    assert list(TopologicalSorter(needs).static_order())


@pytest.mark.parametrize("name", [*sorted(FLOORS.keys() - MODULES), "simulation"])
def test_every_package_says_what_it_is(name: str) -> None:
    package = importlib.import_module(f"trace2skill.{name}")
    text = package.__doc__ or ""
    modules = {info.name for info in pkgutil.iter_modules(package.__path__)}

    assert len(text) > 60
    assert set(re.findall(r"`(\w+)\.py`", text)) <= modules
    assert all(hasattr(package, public) for public in getattr(package, "__all__", []))


def test_the_engine_knows_no_benchmark() -> None:
    assert [found for found in imports("trace2skill") if found[1].split(".")[0] == "evals"] == []


def test_benchmarks_import_only_loaders_from_the_engine() -> None:
    used = {module for _, module in imports("evals") if module.split(".")[0] == "trace2skill"}

    assert used <= LOADERS


def test_nothing_but_the_registry_depends_on_the_stand_in() -> None:
    users = {path for path, module in imports("trace2skill") if module.startswith("trace2skill.simulation")}

    assert {path for path in users if path.parts[1] != "simulation"} == {Path("trace2skill/_registry.py")}


def test_the_stand_in_needs_only_data_and_errors() -> None:
    used = {
        found.split(".")[1] for path, found in imports("trace2skill/simulation") if found.startswith("trace2skill.")
    }

    assert used <= {"simulation", "data", "errors"}


def test_inspects_private_modules_stay_private() -> None:
    private = [
        (path, module)
        for package in ("evals", "trace2skill")
        for path, module in imports(package)
        if module.startswith("inspect_ai._") or "._" in module.removeprefix("inspect_ai")
    ]

    assert [found for found in private if found[0] != Path("trace2skill/errors.py") and "inspect" in found[1]] == []


def test_public_names_are_sorted_and_there() -> None:
    assert trace2skill.__all__ == sorted(trace2skill.__all__)
    assert all(hasattr(trace2skill, name) for name in trace2skill.__all__)


@pytest.mark.parametrize("package", ["evals", "trace2skill"])
def test_modules_stay_readable(package: str) -> None:
    long = {
        str(path.relative_to(ROOT)): count
        for path in (ROOT / package).rglob("*.py")
        if (count := len(path.read_text().splitlines())) > 400
    }

    assert long == {}


def test_the_map_names_places_that_exist() -> None:
    named = re.findall(r"`([\w./<>-]+/[\w./-]*|[\w/]+\.(?:py|md|yaml))`", (ROOT / "docs/architecture.md").read_text())
    missing = [name for name in named if "<" not in name and not (ROOT / name).exists()]

    assert len(named) > 40
    assert {
        name.split("/")[1].removesuffix(".py") for name in named if name.startswith("trace2skill/")
    } >= FLOORS.keys()
    assert missing == []


def test_no_merge_was_left_half_done() -> None:
    texts = [
        file for folder in ("docs", "evals", "results", "skills", "trace2skill") for file in (ROOT / folder).rglob("*")
    ]
    marked = [
        str(file.relative_to(ROOT))
        for file in [*texts, *ROOT.glob("*.md")]
        if file.suffix in (".md", ".py", ".yaml", ".sh") and re.search(r"^(<{7}|>{7}) ", file.read_text(), re.M)
    ]

    assert len(texts) > 100
    assert marked == []
