"""The readers beside their peers, out of benchmarks/results/peers.json: the table of README.md
and docs/zoo.md, and the picture of accuracy and time.
"""

import html
import re
from pathlib import Path

from crnn_benchmarks.harness.schema import Accuracy, DataSet, Report
from crnn_benchmarks.report.front import data_sets, figures_text, front_picture, reads, timed, times
from crnn_runtime.errors import CrnnError

_ROOT = Path(__file__).resolve().parent.parent
RECORDED = _ROOT / "benchmarks" / "results" / "peers.json"
PICTURE = _ROOT / "docs" / "benchmarks" / "front.svg"
README = _ROOT / "README.md"
TO = "zh"
"""The reader whose time is 1."""
PANELS = {
    "Chinese: photographs and strings": ("zh_photo_lines", "synth_cn_strings"),
    "English: books and receipts": ("uw3_500_lines", "sroie_receipt_lines"),
}
SETS = {
    "zh_photo_lines": "photographs",
    "uw3_500_lines": "books",
    "synth_cn_strings": "strings",
    "sroie_receipt_lines": "receipts",
}
"""Data set → what docs/zoo.md calls it."""
_TABLE = re.compile(r"^\| reader \| photographs.*\n(?:\|.*\n)+", re.M)
_NAME = re.compile(r"`([^`]+)`|(\w+)")
_NONE = "–"


def figures(report: Report) -> dict[str, list[str]]:
    """Reader → its cells: raw / normalised for each data set, time, megabytes."""
    sets = data_sets(report)
    taken = times(report, sets, TO)
    rows = {(row.model.name, row.data): row for row in timed(report)}
    found = {}
    for name, time in taken.items():
        own = [rows[name, data] for data in sets]
        size = f"{own[0].model.size / 1e6:.1f}"
        found[name] = [*map(_right, own), f"{time.value:.1f}", size]
    return found


def _right(row: Accuracy) -> str:
    if not reads(row):
        return _NONE
    both = (100 * row.scores[score].value for score in ("exact", "exact_normalized"))
    return " / ".join(f"{share:.1f}".replace("100.0", "100") for share in both)


def filled(text: str, report: Report) -> str:
    """A page with the cells of its table of readers as they are recorded; its words are kept.

    Raises:
        CrnnError: the table is gone, or names a reader that was not recorded.
    """
    if not (table := _TABLE.search(text)):
        raise CrnnError("no table that begins with | reader | photographs")
    head, line, *rows = table[0].splitlines()
    recorded = {name.split()[0]: cells for name, cells in figures(report).items()}
    lines = [_head(head, data_sets(report)), line]
    for row in rows:
        label = row.split("|")[1].strip()
        found = _NAME.search(label)
        name = (found[1] or found[2].lower()) if found else ""
        if name not in recorded:
            raise CrnnError(f"{label}: {name!r} is not among {', '.join(recorded)}")
        lines.append(f"| {' | '.join([label, *recorded[name]])} |")
    return text[: table.start()] + "\n".join(lines) + "\n" + text[table.end() :]


def _head(head: str, sets: list[DataSet]) -> str:
    """The heading with the numbers of lines that were read."""
    first, *cells = (cell.strip() for cell in head.strip("|").split("|"))
    named = [f"{cell.split(',')[0]}, {data.lines}" for cell, data in zip(cells, sets, strict=False)]
    return f"| {' | '.join([first, *named, *cells[len(sets) :]])} |"


def whole_table(report: Report) -> str:
    """All readers that were recorded, by their names."""
    sets = [f"{SETS[data.name]}, {data.lines}" for data in data_sets(report)]
    lines = [f"| reader | {' | '.join(sets)} | time | MB |", "|---" * (len(sets) + 3) + "|"]
    lines += [f"| {' | '.join([f'`{n}`', *cells])} |" for n, cells in figures(report).items()]
    return "\n".join(lines) + "\n"


def milliseconds(report: Report) -> float:
    """Processor time of a line with the reader `TO`, the mean of all lines."""
    rows = [row for row in timed(report) if row.model.name == TO]
    spent = sum(row.cpu.value * row.data.lines for row in rows if row.cpu)
    return 1e3 * spent / sum(row.data.lines for row in rows)


def picture(report: Report) -> bytes:
    """The front, as SVG."""
    return front_picture(report, _panels(report), TO)


def picture_is_of(report: Report, drawn: str) -> bool:
    """Whether a picture shows what is recorded, by the words in it."""
    said = html.escape(figures_text(report, _panels(report), TO))
    return f"<desc>{said}</desc>" in drawn


def _panels(report: Report) -> dict[str, list[DataSet]]:
    sets = {data.name: data for data in data_sets(report)}
    return {title: [sets[name] for name in names] for title, names in PANELS.items()}
