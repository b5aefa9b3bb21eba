from pathlib import Path

import pytest

from tests.trace2skill.report.study import FakeStudy, small_study
from trace2skill.report.results import Results
from trace2skill.report.writing import Written, write_report


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> FakeStudy:
    return small_study(tmp_path_factory.mktemp("study"), n=12)


@pytest.fixture(scope="session")
def written(study: FakeStudy) -> Written:
    return write_report(study, every_eval_ever=True)


@pytest.fixture(scope="session")
def found(study: FakeStudy, written: Written) -> Results:
    return written.results


@pytest.fixture(scope="session")
def page(study: FakeStudy, written: Written) -> str:
    return (study.folder / "report.html").read_text()


@pytest.fixture
def empty(tmp_path: Path) -> FakeStudy:
    return FakeStudy(folder=tmp_path / "results", runs=tmp_path / "runs", simulated=False)
