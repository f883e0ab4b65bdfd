"""``crnn-bench report``: pages of a report, and what moved between two."""

from pathlib import Path

import click

from crnn_benchmarks.cli.output import writable, write_pages, write_text
from crnn_benchmarks.harness.schema import Report
from crnn_runtime.console import Command


@click.command(cls=Command)
@click.argument("first", type=click.Path())
@click.argument("others", nargs=-1, type=click.Path())
@click.option("--join", is_flag=True, help="One page of several reports of one machine.")
@click.option("--out", type=click.Path(dir_okay=False), help="HTML page, with .md beside it.")
def report(first: str, others: tuple[str, ...], join: bool, out: str | None) -> None:
    """Make pages of one report, or of the changes beyond noise between two."""
    from crnn_benchmarks.report.compare import (  # noqa: PLC0415
        comparison_html,
        comparison_markdown,
        joined,
    )

    reports = [Report.read(Path(path)) for path in (first, *others)]
    if join or not others:
        found = joined(reports) if others else reports[0]
        target = writable(out or str(Path(first).with_suffix(".html")), ".html")
        write_pages(found, target)
        click.echo(f"Wrote {target} and {target.with_suffix('.md')}")
        return
    if len(others) > 1:
        raise click.UsageError("compare two reports, or --join several")
    names = (Path(first).name, Path(others[0]).name)
    if names[0] == names[1]:
        names = (first, others[0])
    text = comparison_markdown(reports[0], reports[1], names)
    if out is None:
        click.echo(text, nl=False)
        return
    target = writable(out, ".html")
    write_text(target, comparison_html(reports[0], reports[1], names))
    write_text(target.with_suffix(".md"), text)
    click.echo(f"Wrote {target} and {target.with_suffix('.md')}")
