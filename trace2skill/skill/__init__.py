"""A skill folder and its text.

In: a folder in the Agent Skills format. Out: a `Skill`, a frozen snapshot of its bytes. Open `folder.py` first (load,
check, save), then `sections.py` (Markdown as numbered lines) and `diff.py`.
"""

from trace2skill.skill.diff import diff_skills
from trace2skill.skill.folder import SKILL_MD, Skill, check_skill, find_skill_folder, load_skill, save_skill
from trace2skill.skill.sections import parse_document

__all__ = [
    "SKILL_MD",
    "Skill",
    "check_skill",
    "diff_skills",
    "find_skill_folder",
    "load_skill",
    "parse_document",
    "save_skill",
]
