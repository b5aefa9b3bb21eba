"""Where data lies, and how a path that a user or a log wrote is found."""

from pathlib import Path

import pytest

from trace2skill.data.places import DATA_VARIABLE, bundled, data_dir, resolve_path
from trace2skill.errors import DataError

ROOT = Path(__file__).parents[3]


def test_the_variable_names_the_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    assert data_dir() == tmp_path

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(DATA_VARIABLE, "~/data")
    assert data_dir() == tmp_path / "data"


@pytest.mark.parametrize("empty", [True, False])
def test_without_it_the_cache_folder_is_used(empty: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    if empty:
        monkeypatch.setenv(DATA_VARIABLE, "")
    else:
        monkeypatch.delenv(DATA_VARIABLE, raising=False)

    assert data_dir().name == "trace2skill"


def test_what_ships_with_the_project_is_found() -> None:
    assert bundled("skills/xlsx").is_dir()
    assert bundled("tasks/sample").samefile(ROOT / "tasks/sample")


def test_what_does_not_ship_is_refused() -> None:
    with pytest.raises(DataError, match="'skills/nothing' is not part of this installation"):
        bundled("skills/nothing")


def test_a_path_is_looked_up_where_the_process_the_shell_and_the_project_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process, shell = tmp_path / "process", tmp_path / "shell"
    for folder, names in ((process, ["both", "here"]), (shell, ["both", "there", "skills/xlsx"])):
        for name in names:
            (folder / name).mkdir(parents=True)
    monkeypatch.chdir(process)
    monkeypatch.setenv("PWD", str(shell))

    assert resolve_path("both") == process / "both"
    assert resolve_path("here") == process / "here"
    assert resolve_path("there") == shell / "there"
    assert resolve_path("skills/xlsx") == shell / "skills/xlsx"
    assert resolve_path("skills/xlsx-basic") == ROOT / "skills/xlsx-basic"
    assert resolve_path("nowhere") == shell / "nowhere"
    assert resolve_path(str(shell / "there")) == shell / "there"


def test_the_home_folder_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine").mkdir()

    assert resolve_path("~/mine") == tmp_path / "mine"
