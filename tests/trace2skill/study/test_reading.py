from pathlib import Path
from typing import Any

import pytest

from tests.trace2skill.study.tiny import CONTENT, write
from trace2skill.errors import StudyError
from trace2skill.study import Study
from trace2skill.study.reading import read_declaration

ROOT = Path(__file__).parents[3]
STUDIES = sorted((ROOT / "results").glob("*/study.yaml"))


def message(file: Path, scale: str | None = None) -> list[str]:
    with pytest.raises(StudyError) as caught:
        read_declaration(file, scale)
    return str(caught.value).splitlines()


@pytest.mark.parametrize("file", STUDIES, ids=lambda file: file.parent.name)
def test_shipped_studies_can_be_read_in_all_scales(file: Path) -> None:
    declaration = read_declaration(file)

    assert declaration.name == file.parent.name
    for scale in (None, *declaration.scales):
        assert Study.load(file, scale).cells


def test_an_unknown_key_is_said_with_its_line_and_the_nearest_one(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(write(tmp_path).read_text().replace("  small:\n", "  small:\n    bse_url: http://x\n"))
    line = 1 + file.read_text().splitlines().index("    bse_url: http://x")

    (said,) = message(file)

    assert said.startswith(f"{file}, line {line}: unknown key 'bse_url'; did you mean 'base_url'?")


@pytest.mark.parametrize(
    ("changes", "needed"),
    [
        ({"models": {}}, "models"),
        ({"seeds": [1, 1]}, "a seed is named twice"),
        ({"arms": [{"domain": "maths", "conditions": ["no-skill"]}]}, "did you mean 'math'?"),
        ({"arms": [{"domain": "math", "conditions": ["combned"]}]}, "did you mean 'combined'?"),
        ({"arms": [{"domain": "math", "conditions": ["combined"]}]}, "`modes: [deepening]`"),
        ({"arms": [{"domain": "math", "conditions": ["error"], "modes": ["creation"]}]}, "`draft`"),
        ({"arms": [{"domain": "math", "conditions": ["no-skill"], "authors": ["smal"]}]}, "no model 'smal'"),
        ({"arms": [{"domain": "math", "conditions": ["length-matched"], "modes": ["deepening"]}]}, "`of: combined`"),
        ({"evolution": {"merge_bath": 3}}, "did you mean 'merge_batch'?"),
        ({"evolution": {"merge_batch": 1}}, "greater than or equal to 2"),
        ({"evolution": {"seed": 1}}, "follows from conditions, models and seeds"),
        ({"models": {"small": {"model": "sim/small", "args": {"api_key": "x"}}}}, "environment variable"),
        ({"primary": [{**CONTENT["primary"][0], "against": CONTENT["primary"][0]["condition"]}]}, "with itself"),
        ({"primary": [{**CONTENT["primary"][0]}, {**CONTENT["primary"][0]}]}, "Name them apart"),
        ({"primary": [{**CONTENT["primary"][0], "margin": 5}]}, "less than 1"),
    ],
)
def test_faults_say_what_to_write(changes: dict[str, Any], needed: str, tmp_path: Path) -> None:
    assert any(needed in line for line in message(write(tmp_path, **changes)))


def test_a_test_benchmark_is_not_evolved_on(tmp_path: Path) -> None:
    only_test = {**CONTENT["benchmarks"]["problems"]}
    del only_test["evolve"]

    (said,) = message(write(tmp_path, benchmarks={"problems": only_test}))
    (same,) = message(
        write(tmp_path, benchmarks={"problems": {**only_test, "evolve": "test"}}),
    )

    assert "is for evaluation only: it declares no `evolve` split" in said
    assert "would be evolved on and tested" in same


def test_a_scale_is_laid_over_and_its_own_lines_are_named(tmp_path: Path) -> None:
    small = write(tmp_path, scales={"smoke": {"seeds": [7], "benchmarks": {"problems": {"samples": 1}}}})
    wrong = write(tmp_path / "wrong", scales={"smoke": {"benchmarks": {"problems": {"samples": 0}}}})

    declaration = read_declaration(small, "smoke")

    assert declaration.seeds == (7,)
    assert declaration.benchmarks["problems"].samples == 1
    assert declaration.benchmarks["problems"].evolve_samples == 4
    assert "did you mean 'smoke'?" in message(small, "smok")[0]
    line = 1 + wrong.read_text().splitlines().index("        samples: 0")
    assert message(wrong, "smoke")[0].startswith(f"{wrong}, line {line}: ")


def test_what_is_no_yaml_is_said_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text("name: [\n")

    assert "line 2: this is no valid YAML" in message(file)[0]
    assert "there is no study.yaml" in _missing(tmp_path / "nowhere")


def _missing(path: Path) -> str:
    with pytest.raises(StudyError) as caught:
        Study.load(path)
    return str(caught.value)


def test_a_key_that_is_there_twice_is_no_choice_of_the_last(tmp_path: Path) -> None:
    file = write(tmp_path)
    text = file.read_text()
    file.write_text(text + "\nseeds: [1]\nseeds: [2]\n" if "seeds:" not in text else text + "\nseeds: [2]\n")

    said = message(file)

    assert "'seeds' is there a second time; the first is on line" in said[0]


@pytest.mark.parametrize(
    "args", [{"api_key": "sk-1"}, {"client": {"api_key": "sk-1"}}, {"extra": [{"Authorization": "Bearer sk-1"}]}]
)
def test_a_secret_is_refused_at_any_depth_and_not_repeated(args: dict[str, Any], tmp_path: Path) -> None:
    said = "".join(message(write(tmp_path, models={"small": {"model": "sim/small", "args": args}})))

    assert "would be kept in the runs folder" in said
    assert "sk-1" not in said


@pytest.mark.parametrize("name", ["sequential-²", "sequential-" + "9" * 5000, "sequential-0"])
def test_odd_batches_are_no_conditions(name: str, tmp_path: Path) -> None:
    arms = [{"domain": "math", "conditions": [name], "modes": ["deepening"]}]
    assert message(write(tmp_path, arms=arms))


@pytest.mark.parametrize("scales", [[1], {"smoke": None}])
def test_scales_that_are_none(scales: Any, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="is no mapping"):
        read_declaration(write(tmp_path, scales=scales), "smoke")
