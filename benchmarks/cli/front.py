"""``crnn-bench front``: the picture of accuracy and time, out of a recorded report."""

from pathlib import Path

import click

from crnn_benchmarks.harness.schema import DataSet, Report
from crnn_runtime.console import Command
from crnn_runtime.errors import CrnnError
from crnn_runtime.files import write_atomically


@click.command(cls=Command)
@click.argument("report", type=click.Path())
@click.option("--panel", "panels", multiple=True, metavar="TITLE=SET,SET",
              help="Data sets whose accuracies are averaged; may be repeated.  "
              "[default: a panel for each set]")  # fmt: skip
@click.option("--to", default="", help="The reader whose time is 1.  [default: the first one]")
@click.option("--out", default="front.svg", show_default=True, type=click.Path(dir_okay=False),
              help=".svg, light or dark as its viewer is, or .png, light.")  # fmt: skip
def front(report: str, panels: tuple[str, ...], to: str, out: str) -> None:
    """Draw which readers are accurate for their time, out of a REPORT of crnn-bench peers."""
    from crnn_benchmarks.cli.output import writable  # noqa: PLC0415
    from crnn_benchmarks.report.front import data_sets, front_picture  # noqa: PLC0415

    recorded = Report.read(Path(report))
    target = writable(out, ".png" if Path(out).suffix == ".png" else ".svg")
    sets = {data.name: data for data in data_sets(recorded)}
    if not sets:
        raise CrnnError(f"{report} has no reader with accuracy and time: crnn-bench peers does it")
    chosen = {str(data): [data] for data in sets.values()}
    if panels:
        chosen = dict(_panel(text, sets) for text in panels)
    drawn = front_picture(recorded, chosen, to, suffix=target.suffix)
    write_atomically(target, lambda part: part.write_bytes(drawn))
    click.echo(f"Wrote {target}")


def _panel(text: str, sets: dict[str, DataSet]) -> tuple[str, list[DataSet]]:
    """``Chinese=a,b`` → title and data sets."""
    title, _, names = text.rpartition("=")
    for name in names.split(","):
        if name not in sets:
            raise CrnnError(f"--panel {text}: no data set {name!r}: choose from {', '.join(sets)}")
    return title, [sets[name] for name in names.split(",")]
