"""Put a checkpoint among the readers that ship, with its measured accuracy in its card.

    python -m tools.ship latin runs/latin/best.pth DATA --how "crnn-train …"

exports behind the parity gate, reads fresh synthetic lines and the data sets given, and
replaces the shipped reader only if the new one reads the synthetic lines better. The shipped
one reads them again beside it: since its card was written, the presets may have changed.
How the reader was trained, its curve and the machine go into its card;
`tools.zoo` makes the page of the shipped readers from the cards.

    python -m tools.ship latin

measures the shipped reader again, after the presets or fonts have changed: its weights
stay, and its card tells the new figures of the fresh lines.
"""

import dataclasses
import hashlib
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from crnn_benchmarks.cases.accuracy import measure_accuracy
from crnn_benchmarks.harness.datasets import SYNTH, load_lines
from crnn_benchmarks.harness.machine import this_machine
from crnn_benchmarks.harness.models import Subject
from crnn_runtime.backends import open_backend
from crnn_runtime.console import Command
from crnn_runtime.errors import CrnnError
from crnn_runtime.model.card import Head, ModelCard
from crnn_runtime.readers import reader_names, reader_path

if TYPE_CHECKING:
    from crnn.model import CRNN

LIMIT = 22_000_000
"""Bytes that a shipped reader may have."""

_NEXT = "python -m tools.zoo makes the pages, once crnn-bench peers --update has recorded it"
CHECKPOINTS = Path(__file__).resolve().parent.parent / "examples"


@dataclasses.dataclass(frozen=True)
class Shipped:
    """Everything that ships with a reader.

    Attributes:
        head: what its graph gives. All log-probabilities let every decoder work;
            with thousands of classes they cost more than they are worth.
        data: fresh lines that it is measured on: fonts and words it was trained
            with, and those that were held out.
    """

    head: Head
    data: tuple[str, ...]


SHIPPED = {
    "digits": Shipped("log-probs", ("synth:digits:train", "synth:digits:heldout")),
    "latin": Shipped("log-probs", ("synth:latin:train", "synth:latin:heldout")),
    "zh": Shipped(
        "topk",
        tuple(
            f"synth:{preset}:{split}"
            for split in ("train", "heldout")
            for preset in ("chinese-strings", "document", "receipt", "scene", "screen")
        ),
    ),
    # Six times the time of `zh`: a fifth of the lines.
    "zh-large": Shipped(
        "topk",
        tuple(
            f"synth:{preset}:{split}:200"
            for split in ("train", "heldout")
            for preset in ("chinese-strings", "document", "receipt", "scene", "screen")
        ),
    ),
}


@click.command(cls=Command)
@click.argument("name", type=click.Choice(sorted(SHIPPED)))
@click.argument("checkpoint", required=False, type=click.Path(path_type=Path))
@click.argument("data", nargs=-1)
@click.option("--how", help="The commands that trained CHECKPOINT, for its card.")
@click.option("--hardware", help="Machine that it was trained on.  [default: this machine]")
@click.option("--force", is_flag=True, help="Replace the shipped reader even by a worse one.")
def main(
    name: str,
    checkpoint: Path | None,
    data: tuple[str, ...],
    how: str | None,
    hardware: str | None,
    force: bool,
) -> None:
    """Measure CHECKPOINT on fresh lines and DATA; ship it as NAME if it reads better.

    Without CHECKPOINT the shipped reader is measured again on fresh lines.
    """
    if checkpoint is None:
        if how is not None or hardware is not None or force:
            raise click.UsageError("--how, --hardware and --force are for a CHECKPOINT")
        measure_again(name)
        return
    if how is None:
        raise click.UsageError("--how is missing: the commands that trained CHECKPOINT")
    from crnn.checkpoints import load_model, save_checkpoint  # noqa: PLC0415 (torch)
    from crnn_export.to_onnx import export_onnx, write_card  # noqa: PLC0415

    sets = (*SHIPPED[name].data, *data)
    model, card = load_model(checkpoint)
    target = reader_path(name)
    if name in reader_names():
        _check_same(name, card, sets, open_backend(name).card)
    if not CHECKPOINTS.is_dir():
        raise CrnnError(f"no folder {CHECKPOINTS}: run it in a checkout of the project")
    round_weights(model)
    told = {"how": how, "hardware": hardware or _this_hardware(), "curve": curve(checkpoint.parent)}
    card = card.replace(training={**card.training, **told})
    with TemporaryDirectory(prefix="crnn-ship-", dir=target.parent) as folder:
        weights, candidate = Path(folder) / f"{name}.pth", Path(folder) / target.name
        save_checkpoint(weights, model, card)
        card, _ = export_onnx(model, card, candidate, head=SHIPPED[name].head, checkpoint=weights)
        if (size := candidate.stat().st_size) > LIMIT:
            raise CrnnError(f"{size / 1e6:.1f} MB is more than the {LIMIT / 1e6:.0f} of a reader")
        found = measure(candidate, sets)
        known = measure(target, sets) if name in reader_names() else {}
        for text in compare(found, known):
            click.echo(text)
        if not force and not is_better(found, known):
            raise CrnnError(f"{name} is left as it is: the new one does not read better")
        write_card(candidate, card.replace(evaluation=found))
        shutil.move(weights, CHECKPOINTS / weights.name)
        candidate.replace(target)
    click.echo(f"Wrote {target} ({size / 1e6:.1f} MB); {_NEXT}")


def measure_again(name: str) -> None:
    """Fresh lines read by a shipped reader; its card tells what was seen, and keeps the rest."""
    from crnn_export.to_onnx import write_card  # noqa: PLC0415

    target = reader_path(name)
    card = open_backend(name).card
    found = measure(target, SHIPPED[name].data)
    for text in compare(found, card.evaluation):
        click.echo(text)
    real = {data: of for data, of in card.evaluation.items() if not data.startswith(SYNTH)}
    checkpoint = CHECKPOINTS / f"{name}.pth"
    hashes = {**card.hashes, "checkpoint": hashlib.sha256(checkpoint.read_bytes()).hexdigest()}
    with TemporaryDirectory(prefix="crnn-ship-", dir=target.parent) as folder:
        again = Path(shutil.copy(target, folder))
        write_card(again, card.replace(evaluation=found | real, hashes=hashes))
        again.replace(target)
    click.echo(f"Wrote {target}; {_NEXT}")


def _check_same(name: str, card: ModelCard, sets: Sequence[str], shipped: ModelCard) -> None:
    """A reader goes on reading what it read, and its card telling what it told."""
    if card.alphabet != shipped.alphabet:
        raise CrnnError(
            f"{name} reads {len(shipped.alphabet)} characters, the checkpoint "
            f"{len(card.alphabet)} others"
        )
    told = {Path(data).name for data in sets}
    for data in shipped.evaluation:
        if not data.startswith(SYNTH) and data not in told:
            raise CrnnError(f"the card of {name} tells of {data}: name its folder, too")


def round_weights(model: "CRNN") -> None:
    """Matrices that float16 can hold, still as float32.

    Such a checkpoint compresses to half its size, the graph, where norms are folded into
    kernels, to three fifths; the history of the project keeps each reader. It comes before
    everything is measured. Vectors are small, and variances may be more than float16 holds.
    """
    for value in model.state_dict().values():
        if value.is_floating_point() and value.dim() > 1:
            value.copy_(value.half())


def curve(run: Path) -> list[list[float]]:
    """(steps, share of exact lines) of every validation on the first dev set of a run."""
    try:
        entries = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    except OSError as error:
        raise CrnnError(f"{run}: no log.jsonl of the run beside the checkpoint") from error
    except json.JSONDecodeError as error:
        raise CrnnError(f"{run / 'log.jsonl'}: {error}: end the run, or mend that line") from error
    return [[e["step"], round(e["exact"], 4)] for e in entries if e.get("validation") == "dev"]


def _this_hardware() -> str:
    machine = this_machine()
    return f"{machine.cpus} CPUs, {machine.cpu}; {', '.join(machine.gpus) or 'no GPU'}"


def measure(file: Path, sets: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Data set → number of lines and scores, as a model card has them."""
    with ExitStack() as stack:
        lines = [stack.enter_context(load_lines(spec)) for spec in sets]
        subject = Subject(name=file.stem, file=str(file))
        rows = [read.row for read in measure_accuracy([subject], lines, _log)]
    if problems := [row.problem for row in rows if row.problem]:
        raise CrnnError(problems[0])
    return {
        row.data.name: {
            "lines": row.data.lines,
            **{score: round(interval.value, 8) for score, interval in row.scores.items()},
        }
        for row in rows
    }


def is_better(found: Mapping[str, Any], known: Mapping[str, Any]) -> bool:
    """Whether the mean over the synthetic sets that both were measured on is higher.

    Real sets are measured and told, and choose nothing: else they would flatter the winner.
    """
    common = [name for name in found if name in known and name.startswith(SYNTH)]
    gains = [found[name]["exact"] - known[name]["exact"] for name in common]
    return not known or sum(gains) > 0


def compare(found: Mapping[str, Any], known: Mapping[str, Any]) -> list[str]:
    """A line per data set: right, right after normalisation, and what the shipped one had."""
    rows = []
    for name, scores in found.items():
        before = f", shipped {known[name]['exact']:.2%}" if name in known else ""
        rows.append(
            f"{name}: {scores['exact']:.2%} of {scores['lines']} exact, "
            f"{scores['exact_normalized']:.2%} normalised, CER {scores['cer']:.2%}{before}"
        )
    return rows


def _log(text: str) -> None:
    click.echo(text, err=True)


if __name__ == "__main__":
    sys.exit(main())
