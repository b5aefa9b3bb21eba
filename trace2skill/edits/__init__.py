"""Edits, patches, and what applying them takes.

In: edits of a frozen skill. Out: the skill that they make, with the edit behind every line. Open `patch.py` first (what
an edit is, and what it comes to on a skill), then `apply.py` (which edits stay: conflicts). `locate.py`, `placement.py`
and `splice.py` find the place and write the lines; `said.py` knows what a text says already; `guardrails.py` says what
is off limits; `overflow.py` keeps to the size limits of `trace2skill.skill` by moving text; `provenance.py` is blame;
`importing.py` reads patches from elsewhere.
"""

from trace2skill.edits.apply import apply_edits
from trace2skill.edits.importing import read_patches, write_patches
from trace2skill.edits.patch import Edit, Patch, resolve
from trace2skill.edits.provenance import blame

__all__ = ["Edit", "Patch", "apply_edits", "blame", "read_patches", "resolve", "write_patches"]
