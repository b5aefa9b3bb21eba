"""The quickstart's table is the one in README.md, whatever the folder, the user, and the programs of the machine."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

WITHOUT_LIBREOFFICE = """\
for name in soffice libreoffice; do
    program=$(readlink -f "$(command -v $name)") && mount --bind /dev/null "$program"
done
! soffice --version 2>/dev/null || exit 1
exec "$@"
"""


def check(run: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    (folder / "run.txt").write_text(run, encoding="utf-8")
    command = [sys.executable, str(ROOT / "scripts" / "check_readme_table.py"), str(folder / "run.txt")]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_white_space_is_no_difference_and_a_number_is(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme[readme.index("SIMULATED: a stand-in") :].partition("```")[0]
    coloured = "\x1b[1m4/4  Did it help?\x1b[0m\n" + table.replace("\n", "   \n").replace("p (Holm)", "p    (Holm)")
    assert check(f"{coloured}\nevolved: tested on 20 samples", tmp_path).returncode == 0
    wrong = check(table.replace("20/20", "19/20", 1), tmp_path)
    assert wrong.returncode == 1
    assert "19/20" in wrong.stderr
    assert "There is no table" in check("Nothing was run.", tmp_path).stderr


def played(folder: Path, *prefix: str) -> dict[str, bytes]:
    """The files of the skill of a quickstart in a new folder, whose table is the one in README.md."""
    command = [*prefix, "bash", "scripts/quickstart_elsewhere.sh", str(folder)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]
    checked = check(ran.stdout, folder)
    assert checked.returncode == 0, checked.stderr
    [skill] = (folder / "runs" / "quickstart").glob("evolve-*/run/*/SKILL.md")
    return {path.name: path.read_bytes() for path in skill.parent.rglob("*") if path.is_file()}


@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / ".venv" / ".installed").is_file(), reason="needs the environment of `make test`")
def test_folders_and_programs_change_neither_table_nor_skill(tmp_path: Path) -> None:
    plain = played(tmp_path / "a")
    assert plain.keys() >= {"SKILL.md"}
    assert played(tmp_path / "another folder, with blanks and with a longer name than the first") == plain
    if os.geteuid() == 0 and shutil.which("unshare") and shutil.which("soffice"):
        assert played(tmp_path / "b", "unshare", "--mount", "sh", "-c", WITHOUT_LIBREOFFICE, "sh") == plain
