"""Writing a report: tables as CSV, Markdown and LaTeX, a page, and, if asked for, Inspect's viewer and an export."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from inspect_ai.log import bundle_log_dir

from trace2skill.files import write_atomic
from trace2skill.report.page import Report, gather, render_page
from trace2skill.report.results import Results, results
from trace2skill.report.samples import VIEW, LogBook, arm_runs, samples_csv
from trace2skill.report.source import Source
from trace2skill.report.tables import deltas_csv, markdown_table, markdown_text, paper_latex, paper_markdown
from trace2skill.report.wording import Headline, headline, p_value, said
from trace2skill.study import Study, record_look

PAGE = "report.html"


@dataclass(frozen=True, kw_only=True)
class Written:
    """What was written, and what it says."""

    files: tuple[Path, ...]
    headline: Headline
    results: Results


def write_report(
    study: Source,
    output: Path | None = None,
    *,
    html: Path | None = None,
    bundle: bool = False,
    every_eval_ever: bool = False,
) -> Written:
    """Write the report of a study, finished or not. It counts as a look at the test splits, if one was opened.

    Args:
        study: The study.
        output: Folder for tables and page; by default the study's own.
        html: File for the page; by default `report.html` in that folder.
        bundle: Whether to put Inspect's viewer with the logs beside the page.
        every_eval_ever: Whether to export the scores in the form of Every Eval Ever.

    Returns:
        The files that were written.

    Raises:
        StudyError: The primary comparisons are not those that were frozen before a test split was opened.
    """
    changes = _changes(study)
    looks = _looks_with_this(study)
    folder = output or study.folder
    page = html or folder / PAGE
    found = results(study)
    book = LogBook(found.arms.values(), bundled=bundle)
    runs = arm_runs(found, book)
    report = gather(study, found, runs, book, bundled=bundle, looks=looks, changes=changes)
    texts = {
        folder / "results.csv": deltas_csv(found),
        folder / "samples.csv": samples_csv(runs, book, study.runs, simulated=found.simulated),
        folder / "tables.md": _markdown(report),
        **{folder / f"table-{table.number}.tex": paper_latex(table, report.stamp) for table in report.tables},
        page: render_page(report),
    }
    if looks is not None and isinstance(study, Study):
        record_look(study, "report")
    for file, text in texts.items():
        write_atomic(file, text)
    written = list(texts)
    if bundle:
        written.append(_bundle(book, page.parent / VIEW))
    if every_eval_ever:
        from trace2skill.report.every_eval_ever import export

        written += export(study, found, folder / "every-eval-ever")
    return Written(files=tuple(written), headline=headline(found.primary), results=found)


def _changes(study: Source) -> tuple[str, ...]:
    """What was changed of the declared comparisons since a test split was opened, and why."""
    if not isinstance(study, Study) or (frozen := study.frozen()) is None:
        return ()
    study.check_frozen()
    return tuple(
        f"The declared comparisons were changed on {change.at}, after a test split was opened: {change.reason}"
        for change in frozen.refrozen
    )


def _looks_with_this(study: Source) -> int | None:
    """How many looks there are with this report; None where none is counted."""
    if not isinstance(study, Study) or study.frozen() is None:
        return None
    return len(study.looks()) + 1


def _markdown(report: Report) -> str:
    head = headline(report.found.primary)
    parts = [f"# Study {report.name}", "", *([f"**{report.stamp}**", ""] if report.stamp else [])]
    parts += [f"**{markdown_text(head.text)}** {markdown_text(head.more)}".strip(), ""]
    for change in report.changes:
        parts += [f"**{markdown_text(change)}**", ""]
    rows = [
        [
            delta.title,
            delta.treatment.full,
            delta.control.label,
            said(delta),
            p_value(delta.comparison.result.p_value) if delta.comparison else "",
            "" if delta.published is None else f"{100 * delta.published:+.1f}",
        ]
        for delta in report.found.primary
    ]
    columns = ("comparison", "of", "against", "difference [95%], p (Holm)", "p alone", "published")
    parts += [*markdown_table(columns, rows), ""]
    return "\n".join([*parts, *(paper_markdown(table, report.stamp) for table in report.tables)])


def _bundle(book: LogBook, target: Path) -> Path:
    """Inspect's viewer with the logs that the report is about, under the names that its links have."""
    with tempfile.TemporaryDirectory(prefix="trace2skill-") as folder:
        for file, name in book.names.items():
            shutil.copyfile(file, Path(folder) / name)
        bundle_log_dir(folder, str(target), overwrite=True)
    return target
