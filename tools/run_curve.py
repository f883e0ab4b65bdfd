"""``python -m tools.run_curve RUN/log.jsonl curve.png``: a training run as a picture."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import click
import matplotlib as mpl

from crnn_runtime.console import Command
from crnn_runtime.errors import CrnnError
from crnn_runtime.files import write_atomically

_PATH = click.Path(path_type=Path)


def read_log(path: Path) -> list[dict[str, Any]]:
    """The entries of a run's JSON log, in order.

    Raises:
        CrnnError: it cannot be read, or a line is no JSON object.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CrnnError(f"log {path}: {error}") from error
    entries = []
    for number, line in enumerate(lines, 1):
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if not isinstance(entry, dict):
            raise CrnnError(f"{path}:{number}: not an entry of a run's log.jsonl: {line[:40]!r}")
        entries.append(entry)
    return entries


def draw_curve(entries: list[dict[str, Any]], path: Path) -> None:
    """Loss and exact lines over the steps.

    Args:
        entries: of `read_log`.
        path: the PNG to write.

    Raises:
        CrnnError: nothing to draw.
    """
    losses = [(entry["step"], entry["loss"]) for entry in entries if "loss" in entry]
    scores: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
    for entry in entries:
        if "validation" in entry:
            scores[entry["validation"]].append((entry["step"], 100 * entry["exact"]))
    if not losses:
        raise CrnnError("the log has no losses to draw: train for more than --print-freq steps")
    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - after the choice of the backend

    figure, (above, below) = plt.subplots(2, 1, figsize=(7, 5), sharex=True, layout="constrained")
    above.plot(*zip(*losses, strict=True), color="tab:blue")
    above.set(yscale="log", ylabel="training loss")
    for name, points in scores.items():
        below.plot(*zip(*points, strict=True), marker=".", label=name)
    below.set(xlabel="step", ylabel="% of lines exactly right", ylim=(0, 100))
    if scores:
        below.legend(loc="lower right")
    for axes in (above, below):
        axes.grid(alpha=0.3)
    write_atomically(path, lambda part: figure.savefig(part, format="png", dpi=90))
    plt.close(figure)


@click.command(cls=Command)
@click.argument("log", type=_PATH)
@click.argument("picture", type=_PATH)
def main(log: Path, picture: Path) -> None:
    """Draw the loss and the accuracy of the run that wrote LOG into PICTURE (PNG)."""
    draw_curve(read_log(log), picture)


if __name__ == "__main__":
    main()
