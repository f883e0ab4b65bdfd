"""Measures the disk space of an installation, package by package.

    crnn-bench footprint

Sizes are those of the files that each package lists as its own, bytecode included, as
`du` would count them apart from the rest of a block.
"""

import datetime
import sysconfig
from importlib.metadata import Distribution, distributions
from pathlib import Path

import click

from crnn_runtime.console import Command
from crnn_runtime.errors import CrnnError


def package_sizes(folder: Path) -> dict[tuple[str, str], int]:
    """Bytes of every package in a ``site-packages`` folder, by name and version.

    Raises:
        CrnnError: there is no package in the folder.
    """
    found = {
        (package.name, package.version): _size(package)
        for package in distributions(path=[str(folder)])
    }
    if not found:
        raise CrnnError(f"no package is installed in {folder}: give a site-packages folder")
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _size(package: Distribution) -> int:
    paths = {Path(str(package.locate_file(file))).resolve() for file in package.files or ()}
    return sum(path.stat().st_size for path in paths if path.is_file())


def to_markdown(sizes: dict[tuple[str, str], int], least: float) -> str:
    """A table of the packages of at least ``least`` MB, and one line for the others."""
    rows = [(f"`{name}` {version}", size / 1e6) for (name, version), size in sizes.items()]
    small = [size for _, size in rows if size < least]
    rows = [row for row in rows if row[1] >= least]
    rows += [(f"{len(small)} others", sum(small))] if small else []
    rows.append(("together", sum(sizes.values()) / 1e6))
    lines = [f"| {name} | {size:,.1f} |" for name, size in rows]
    today = datetime.datetime.now(datetime.UTC).date()
    return "\n".join((f"| package, {today} | MB |", "|---|---:|", *lines))


@click.command(cls=Command)
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option("--least", default=1.0, show_default=True, help="MB of a package with a row.")
def main(folder: Path | None, least: float) -> None:
    """Print a table of the packages in FOLDER, by default of this Python's own."""
    click.echo(to_markdown(package_sizes(folder or Path(sysconfig.get_path("purelib"))), least))
