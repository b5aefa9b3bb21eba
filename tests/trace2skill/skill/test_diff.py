import shutil
import subprocess
from pathlib import Path

import pytest

from trace2skill.skill.diff import SectionChange, diff_skills
from trace2skill.skill.folder import Skill, load_skill, save_skill

FRONT = "---\nname: demo\ndescription: d\n---\n"


def skill(main: str, **files: bytes) -> Skill:
    return Skill.from_files({"SKILL.md": (FRONT + main).encode(), **files})


BEFORE = skill(
    "# A\none\n## B\ntwo\n## C\nx\n", **{"old.md": b"# O\nx", "x.bin": b"\xff", "run.py": b"a\n", "e.md": b""}
)
AFTER = skill("# A\none\n## B\nthree\nfour\n## D\ny\n", **{"new.md": b"x\n", "x.bin": b"\xfe", "run.py": b"b\n"})


def test_equal_skills_have_no_diff() -> None:
    assert diff_skills(BEFORE, BEFORE).text == ""
    assert diff_skills(BEFORE, BEFORE).sections == ()


def test_sections() -> None:
    changes = [(c.file, c.section, c.change, c.added, c.removed) for c in diff_skills(BEFORE, AFTER).sections]
    assert changes == [
        ("SKILL.md", "A > B", "changed", 2, 1),
        ("SKILL.md", "A > D", "added", 2, 0),
        ("SKILL.md", "A > C", "removed", 0, 2),
        ("e.md", "", "removed", 0, 0),
        ("new.md", "", "added", 1, 0),
        ("old.md", "O", "removed", 0, 2),
        ("run.py", "", "changed", 1, 1),
        ("x.bin", "", "changed", 0, 0),
    ]


def test_sections_of_one_name_are_kept_apart() -> None:
    before, after = skill("# A\n## X\n1\n## X\n2\n"), skill("# A\n## X\n1\n## X\n3\n4\n")
    assert diff_skills(before, after).sections == (
        SectionChange(file="SKILL.md", section="A > X", change="changed", added=2, removed=1),
    )


def test_text() -> None:
    text = diff_skills(BEFORE, AFTER).text
    assert "--- a/SKILL.md\n+++ b/SKILL.md\n" in text
    assert "--- a/e.md\n+++ /dev/null\n--- /dev/null\n+++ b/new.md\n" in text
    assert "-x\n\\ No newline at end of file\n" in text
    assert "Binary files a/x.bin and b/x.bin differ\n" in text


@pytest.mark.skipif(shutil.which("patch") is None, reason="needs the program patch")
@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
def test_patch_can_apply_the_text(tmp_path: Path, ending: bytes) -> None:
    before = skill("# A\none\n## B\ntwo", **{"references/a.md": b"a\nb"})
    after = skill("# A\none\n## B\nthree\n", **{"references/a.md": b"a\n", "references/b.md": b"x\n"})
    before, after = (
        Skill.from_files({path: data.replace(b"\n", ending) for path, data in one.files.items()})
        for one in (before, after)
    )
    folder = save_skill(before, tmp_path)
    text = diff_skills(before, after).text.encode()
    subprocess.run(["patch", "-p1", "--binary", "-s"], input=text, cwd=folder, check=True, timeout=60)
    assert load_skill(folder) == after
