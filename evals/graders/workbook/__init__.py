"""Reads the cells that a comparison needs with openpyxl's values, and judges as openpyxl whether a workbook opens.

Opening a workbook with openpyxl takes its time for objects of all cells and styles. `reader.read_sheets` does without
them: it holds every part of the file against what openpyxl is known to accept and raises an exception for anything
else, so that openpyxl itself decides about all that is unusual.

- `pieces`: XML as pieces of text, each distinct one shown to openpyxl once;
- `parts`: the package, workbook, styles, and what a worksheet has beside its rows;
- `cells`: rows, and the values in them;
- `reader`: the whole workbook, in the order of openpyxl's own reader.
"""

from evals.graders.workbook.cells import Sheet
from evals.graders.workbook.pieces import silenced
from evals.graders.workbook.reader import read_sheets

__all__ = ["Sheet", "read_sheets", "silenced"]
