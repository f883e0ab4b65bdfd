"""A report as Markdown."""

from crnn_benchmarks.harness.schema import Report
from crnn_benchmarks.report.summary import machine_text, summary, title
from crnn_benchmarks.report.tables import RANDOM_WEIGHTS, Table, tables


def to_markdown(report: Report) -> str:
    """The whole report: what it says, where and how it was measured, then every table."""
    parts = [f"# {title(report)}", "", " ".join(summary(report)), "", f"- `{report.command}`"]
    parts += [*(f"- {fact}" for fact in facts(report)), ""]
    for table in tables(report):
        parts += [table_text(table), ""]
    return "\n".join(parts)


def facts(report: Report) -> list[str]:
    """Machine, versions, commit: what a figure means nothing without."""
    machine = report.machine
    found = [
        f"{report.created}, commit {report.commit}",
        f"machine {machine.id}: {machine_text(machine)}, {machine.system}",
        f"load average {machine.load:.1f} at the start, {machine.load_after:.1f} at the end"
        + (
            ": the machine was busy, times of the clock hold what others took"
            if max(machine.load, 0) > machine.cpus / 2
            else ""
        ),
        ", ".join(f"{name} {version}" for name, version in report.versions.items()),
    ]
    return [*found, *report.notes]


def table_text(table: Table) -> str:
    """A table with its heading and notes."""
    lines = [f"## {table.title}", "", _row(table.head), "|---" * len(table.head) + "|"]
    lines += [_row(cells) for cells in table.rows]
    for note in table.notes:
        lines += ["", f"\\* {note}" if note == RANDOM_WEIGHTS else note]
    return "\n".join(lines)


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
