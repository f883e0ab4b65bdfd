"""Writes the report of a command of ``crnn-bench``, and its pages."""

import dataclasses
import datetime
import shlex
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from crnn_benchmarks.harness.schema import Report
from crnn_runtime.errors import CrnnError, MissingDependencyError
from crnn_runtime.files import write_atomically

EXIT_NOTHING = 1
"""Nothing could be measured; the report says why."""

_STARTED = time.monotonic()


def out_option(default: str) -> Callable[[Any], Any]:
    """The option for the report to write."""
    return click.option(
        "--out", default=default, show_default=True, type=click.Path(dir_okay=False),
        help="Report to write, with .md and .html beside it.",
    )  # fmt: skip


def writable(out: str, suffix: str = ".json") -> Path:
    """Refuse what cannot be written, or drawn, before minutes are spent."""
    path = Path(out)
    if path.suffix != suffix:
        raise CrnnError(f"--out {out}: its name ends in {suffix}")
    if not path.parent.is_dir():
        raise CrnnError(f"cannot write {out}: no folder {path.parent}")
    if find_spec("matplotlib") is None:
        raise MissingDependencyError.of_extra("matplotlib", "bench")
    return path


def empty_report() -> Report:
    """A report that says where and when, without figures yet."""
    from crnn_benchmarks.harness import machine  # noqa: PLC0415

    return Report(
        command=shlex.join(["crnn-bench", *sys.argv[1:]]),
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        commit=machine.commit(),
        machine=machine.this_machine(),
        versions=machine.versions(),
    )


def finish(found: Report, target: Path) -> None:
    """Write the three files and say what they hold."""
    from crnn_benchmarks.harness.machine import load  # noqa: PLC0415
    from crnn_benchmarks.report.markdown import to_markdown  # noqa: PLC0415

    found = dataclasses.replace(
        found, machine=dataclasses.replace(found.machine, load_after=load())
    )
    found.write(target)
    write_pages(found, target.with_suffix(".html"))
    click.echo(to_markdown(found))
    click.echo(f"Wrote {target}, {target.with_suffix('.md')} and {target.with_suffix('.html')}")
    problems = [row.problem for row in found.latency]
    problems += [row.problem for row in found.throughput]
    problems += [row.problem for row in found.accuracy]
    problems += [row.problem for row in found.training]
    if None not in problems:
        sys.exit(EXIT_NOTHING)


def write_pages(found: Report, target: Path) -> None:
    """Write the HTML page of a report, and its Markdown beside it."""
    from crnn_benchmarks.report.html import to_html  # noqa: PLC0415
    from crnn_benchmarks.report.markdown import to_markdown  # noqa: PLC0415

    write_text(target, to_html(found))
    write_text(target.with_suffix(".md"), to_markdown(found))


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    write_atomically(path, lambda part: part.write_text(text, "utf-8"))


def tell(text: str) -> None:
    """Say on standard error how far the measuring is."""
    click.echo(f"{time.monotonic() - _STARTED:5.0f} s  {text}", err=True)
