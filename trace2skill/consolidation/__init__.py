"""Patches -> one patch -> the evolved skill.

In: patches. Out: the assembled skill, and a ledger with the fate of every edit. Open `tree.py` first (who merges what,
and when), then `merging.py` (one merge, and how support is kept), `selection.py` (what is applied), `assembly.py` (the
skill) and `ledger.py`. `lexical.py` merges without a model.
"""

from trace2skill.consolidation.assembly import Assembled, assemble
from trace2skill.consolidation.ledger import Ledger, read_ledger
from trace2skill.consolidation.lexical import lexical_merge
from trace2skill.consolidation.selection import select_edits
from trace2skill.consolidation.tree import MergeTree, consolidation

__all__ = [
    "Assembled",
    "Ledger",
    "MergeTree",
    "assemble",
    "consolidation",
    "lexical_merge",
    "read_ledger",
    "select_edits",
]
