"""Training lines a second: this project's loop against two bare ones, by turns in one run.

    python -m crnn_benchmarks.train_speed --arch lite --threads 2

- ``plain``: float32, contiguous layout, the least code that trains.
- ``bare``: the same few lines with this project's settings (layout, precision).
- ``loop``: `crnn.training`'s step with clipping, averaged weights, schedule,
  checks and log.

All three train the same network on the same lines, drawn beforehand: what is
compared is the step. ``loop`` against ``bare`` is the cost of everything around
the network, ``loop`` against ``plain`` what the settings gain.
"""

import itertools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import torch
import torch.nn.functional as F

from crnn.data.loader import Batch, Position, training_batches
from crnn.model import build_model
from crnn.training import PRECISIONS, TrainConfig
from crnn.training.config import Precision
from crnn.training.distributed import autocast
from crnn.training.inputs import load_inputs
from crnn.training.loop import Run
from crnn_runtime.alphabet import Alphabet
from crnn_runtime.console import Command
from crnn_runtime.cpu import available_cpus

Step = Callable[[Batch, int], object]


def bare_step(config: TrainConfig, *, channels_last: bool, precision: str) -> Step:
    """Forward, CTC, backward, AdamW, and nothing else."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    card = config.card()
    model = build_model(config.arch, card.num_classes, card.channels)
    model = model.to(memory_format=layout)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    device = torch.device("cpu")

    def step(batch: Batch, _: int) -> None:
        images = batch.images.contiguous(memory_format=layout)
        with autocast(device, precision):
            log_probs = model(images)
        steps = batch.steps.clamp(max=log_probs.shape[1])
        loss = F.ctc_loss(log_probs.transpose(0, 1), batch.targets, steps, batch.lengths)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def loop_step(run: Run) -> Step:
    """What `Run.go` does for every step, the loading left out."""

    def step(batch: Batch, number: int) -> None:
        run.advance(Position(0, number), [batch], 0.2)

    return step


@click.command(cls=Command)
@click.option("--arch", default="lite", show_default=True)
@click.option("--batch-size", type=click.IntRange(min=1), default=32, show_default=True)
@click.option("--turns", type=click.IntRange(min=1), default=5, show_default=True)
@click.option("--steps", type=click.IntRange(min=1), default=8, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), default=available_cpus())
@click.option("--precision", type=click.Choice(PRECISIONS), default="fp32", show_default=True)
def main(
    arch: str, batch_size: int, turns: int, steps: int, threads: int, precision: Precision
) -> None:
    """Measure, and print lines a second of clock and of processor time."""
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as folder:
        config = TrainConfig(
            arch=arch, alphabet=Alphabet.load("digits"), synth="digits", dev_lines=1,
            directory=Path(folder), batch_size=batch_size, ema=0.999, workers=0,
            precision=precision, synth_options={"fonts": "packages"},
        )  # fmt: skip
        inputs = load_inputs(config, config.card())
        batches = [b for _, (b,) in itertools.islice(training_batches(inputs.stream), steps)]
        contenders = {
            "plain": bare_step(config, channels_last=False, precision="fp32"),
            "bare": bare_step(config, channels_last=config.channels_last, precision=precision),
            "loop": loop_step(Run(config, inputs, torch.device("cpu"))),
        }
        wall = dict.fromkeys(contenders, 0.0)
        cpu = dict.fromkeys(contenders, 0.0)
        for turn in range(turns + 1):
            for name, step in contenders.items():
                start = time.perf_counter(), time.process_time()
                for number, batch in enumerate(batches):
                    step(batch, number)
                if turn:  # the first one warms up
                    wall[name] += time.perf_counter() - start[0]
                    cpu[name] += time.process_time() - start[1]
    lines = turns * sum(len(batch.images) for batch in batches)
    for name in contenders:
        click.echo(
            f"{name:6}{lines / wall[name]:8.1f} lines/s{lines / cpu[name]:8.1f} lines/CPU s"
            f"{cpu['plain'] / cpu[name]:7.2f} × plain"
        )
    click.echo(f"overhead of the loop: {cpu['loop'] / cpu['bare'] - 1:+.1%} of CPU time")


if __name__ == "__main__":
    main()
