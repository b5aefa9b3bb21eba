"""What public bug reports and newcomers found in the reading of skills."""

from pathlib import Path

import pytest

from trace2skill.errors import SkillError
from trace2skill.skill import load_skill


@pytest.mark.parametrize(
    ("frontmatter", "said"),
    [
        (
            "---\nname: odd\ndescription: Use when: the user asks\n---\n",
            "not valid YAML: line 3, column 22: mapping values",
        ),
        ("---\nname: odd\ndescription:\td\n---\n", "not valid YAML: line 3, column 13: "),
        ("---\nname: odd\ndescription: 'open\n---\n", "not valid YAML: line 3, "),
        ("---\nname: odd\ndescription: d\n...\n", "the `---` of line 1 is never closed"),
        ("---\n- name\n---\n", "it holds list, not `name:`"),
        ("# Odd\n", "it starts with '# Odd'"),
    ],
)
def test_invalid_frontmatter_is_named_with_line_and_reason(tmp_path: Path, frontmatter: str, said: str) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    (folder / "SKILL.md").write_text(frontmatter + "# Body\n")

    with pytest.raises(SkillError) as caught:
        load_skill(folder)
    assert said in str(caught.value)
