import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import trace2skill

ROOT = Path(__file__).parents[1]
# The sandbox needs the package itself only to hide its folder.
LOADERS = {"trace2skill", "trace2skill.data.places", "trace2skill.errors", "trace2skill.skill.folder"}


def imports(package: str) -> Iterator[tuple[Path, str]]:
    for path in sorted((ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                yield path.relative_to(ROOT), node.module
            elif isinstance(node, ast.Import):
                yield from ((path.relative_to(ROOT), alias.name) for alias in node.names)


def test_the_engine_knows_no_benchmark() -> None:
    assert [found for found in imports("trace2skill") if found[1].split(".")[0] == "evals"] == []


def test_benchmarks_import_only_loaders_from_the_engine() -> None:
    used = {module for _, module in imports("evals") if module.split(".")[0] == "trace2skill"}

    assert used <= LOADERS


def test_nothing_but_the_registry_depends_on_the_stand_in() -> None:
    users = {path for path, module in imports("trace2skill") if module.startswith("trace2skill.simulation")}

    assert {path for path in users if path.parts[1] != "simulation"} == {Path("trace2skill/_registry.py")}


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
