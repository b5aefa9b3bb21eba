"""The first rows of a workbook as text, read within limits.

The fast reader keeps a sheet as a full table, so that a single cell in the last corner asks for more memory than there
is, and it refuses some workbooks that openpyxl, which agent and scorer use, opens. It therefore works in a process of
its own, and where it fails openpyxl reads the rows one by one.
"""

import atexit
from pathlib import Path

from evals.graders.first_rows import dense_preview, sparse_preview
from evals.graders.worker import Workers
from trace2skill.errors import DataError

PREVIEW_ROWS = 5

SECONDS = 120
MEMORY_BYTES = 4 * 1024**3
"""Limits of reading one workbook."""

PREVIEWS = Workers(SECONDS, MEMORY_BYTES)

atexit.register(PREVIEWS.stop)


def preview(workbook: Path) -> str:
    """The first rows of every sheet as tab-separated text.

    Blocks while a process reads the workbook.

    Raises:
        DataError: The workbook cannot be read.
    """
    try:
        return PREVIEWS.call(dense_preview, workbook, PREVIEW_ROWS)
    except Exception:  # a family of unrelated errors for damaged files, or the end of the process
        return _sparse(workbook)


def _sparse(workbook: Path) -> str:
    try:
        return PREVIEWS.call(sparse_preview, workbook, PREVIEW_ROWS)
    except Exception as error:  # openpyxl shows a damaged file as almost any exception
        raise DataError(f"{workbook} cannot be read as a workbook: {error}. Fetch the dataset again.") from error
