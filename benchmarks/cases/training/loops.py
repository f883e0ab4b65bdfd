"""Training speed: this project's loop against two bare ones, batch by batch in one run.

    crnn-bench train-loop --arch lite --arch densenet121

- ``plain``: float32, contiguous layout, the least code that trains.
- ``bare``: the same few lines with this project's settings (layout, precision, fused
  optimiser, memory kept between steps).
- ``loop``: `crnn.training`'s step with clipping, averaged weights, schedule, checks and
  log.

All three start from the same weights and see the same batches, drawn beforehand: what is
compared is the step. ``loop`` against ``bare`` is the cost of everything around the
network, ``plain`` against ``loop`` what the settings gain. ``bare`` and ``loop`` train the
very same network in one process, or the addresses it happens to have would weigh more than
the difference; ``plain`` has a process of its own, for how the C library treats freed memory
is a setting of a process. They take every batch in turn, the order changing from batch to
batch. The figures are ratios of such neighbours in processor time: their median, and the
middle half of them.
"""

import contextlib
import itertools
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from crnn.data.loader import Batch, Position, training_batches
from crnn.memory import keep_freed_memory
from crnn.model import CRNN, build_model
from crnn.training import PRECISIONS, TrainConfig
from crnn.training.config.optimisation import Precision
from crnn.training.distributed import autocast
from crnn.training.inputs import load_inputs
from crnn.training.loop import Run
from crnn_benchmarks.harness.child import ChildError
from crnn_runtime.console import Command
from crnn_runtime.model.alphabet import NAMED_ALPHABETS, Alphabet

Step = Callable[[Batch, int], object]


Steps = dict[str, Step]
"""Contenders of one process, by name."""


def plain_step(config: TrainConfig) -> Steps:
    """Forward, CTC, backward, AdamW as PyTorch has them, and nothing else."""
    torch.manual_seed(config.seed)
    card = config.card()
    model = build_model(card.arch, card.num_classes, card.channels).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)

    def plain(batch: Batch, _: int) -> None:
        _train(model, optimizer, batch.images, batch, "fp32")

    return {"plain": plain}


def our_steps(config: TrainConfig) -> Steps:
    """The same with the settings of this project, and what `Run.go` does for every step."""
    keep_freed_memory()
    run = Run(config, load_inputs(config, config.card()), torch.device("cpu"))
    model, optimizer = run.state.model, run.state.optimizer

    def bare(batch: Batch, _: int) -> None:
        images = batch.images.contiguous(memory_format=torch.channels_last)
        _train(model, optimizer, images, batch, config.precision)

    def loop(batch: Batch, number: int) -> None:
        run.advance(Position(0, number), [batch], 0.2)

    return {"bare": bare, "loop": loop}


PROCESSES: dict[tuple[str, ...], Callable[[TrainConfig], Steps]] = {
    ("plain",): plain_step,
    ("bare", "loop"): our_steps,
}
"""Contenders → what makes their steps."""


def _train(
    model: CRNN,
    optimizer: torch.optim.Optimizer,
    images: torch.Tensor,
    batch: Batch,
    precision: str,
) -> None:
    with autocast(torch.device("cpu"), precision):
        log_probs = model(images)
    steps = batch.steps.clamp(max=log_probs.shape[1])
    loss = F.ctc_loss(
        log_probs.transpose(0, 1), batch.targets, steps, batch.lengths, zero_infinity=True
    )
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    optimizer.zero_grad()


def _contend(
    names: tuple[str, ...], config: TrainConfig, batches: list[Batch], pipe: Connection
) -> None:
    """Take (contender, number of the batch), answer with seconds of processor time and clock."""
    assert config.threads is not None
    torch.set_num_threads(config.threads)
    steps = PROCESSES[names](config)
    while (task := pipe.recv()) is not None:
        name, number = task
        cpu, clock = time.process_time(), time.perf_counter()
        steps[name](batches[number % len(batches)], number)
        pipe.send((time.process_time() - cpu, time.perf_counter() - clock))


@contextlib.contextmanager
def contending(config: TrainConfig, batches: list[Batch]) -> Iterator[dict[str, Connection]]:
    """Start the processes; gives the pipe to each contender."""
    # Idle threads must not spin while another contender works.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    context = multiprocessing.get_context("spawn")
    pipes: dict[str, Connection] = {}
    processes = []
    for names in PROCESSES:
        ours, theirs = context.Pipe()
        pipes |= dict.fromkeys(names, ours)
        arguments = (names, config, batches, theirs)
        processes.append(context.Process(target=_contend, args=arguments, daemon=True))
        processes[-1].start()
        theirs.close()  # or the end of the process would not be seen
    try:
        yield pipes
    finally:
        for pipe in set(pipes.values()):
            with contextlib.suppress(OSError):
                pipe.send(None)
        for process in processes:
            process.join()


Times = dict[str, NDArray[np.float64]]
"""Contender → (batches seen, 2): seconds of processor time and of the clock."""


def by_turns(pipes: Mapping[str, Connection], batches: int, turns: int) -> Times:
    """Let each contender take each batch, in changing order; the first turn is not counted."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in pipes}
    orders = itertools.cycle(itertools.permutations(pipes))
    for number in range((turns + 1) * batches):
        for name in next(orders):
            try:
                pipes[name].send((name, number))
                seconds = pipes[name].recv()
            except (EOFError, OSError) as error:
                raise ChildError(f"the process of {name} ended early (want of memory?)") from error
            if number >= batches:
                times[name].append(seconds)
    return {name: np.array(rows) for name, rows in times.items()}


def ratio(times: Times, first: str, second: str, kind: int = 0) -> NDArray[np.float64]:
    """Quartiles of the first contender's time over the second's, batch by batch."""
    ratios = times[first][:, kind] / times[second][:, kind]
    return np.quantile(ratios, (0.25, 0.5, 0.75))


@click.command(cls=Command)
@click.option("--arch", "archs", multiple=True, default=["lite"], show_default=True)
@click.option("--alphabet", type=click.Choice(list(NAMED_ALPHABETS)), default="digits")
@click.option("--batch-size", type=click.IntRange(min=1), default=32, show_default=True)
@click.option("--turns", type=click.IntRange(min=1), default=10, show_default=True)
@click.option("--steps", type=click.IntRange(min=1), default=8, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--precision", type=click.Choice(PRECISIONS), default="fp32", show_default=True)
def main(
    archs: Sequence[str],
    alphabet: str,
    batch_size: int,
    turns: int,
    steps: int,
    threads: int,
    precision: Precision,
) -> None:
    """Measure, and print ratios of processor time: median and middle half."""
    click.echo(f"{'arch':20}{'lines/CPU s':>12}{'loop over bare':>24}{'plain over loop':>24}")
    # Chinese characters are in fonts of the system alone, see `make fonts`.
    drawn_as: dict[str, Any] = (
        {"synth": "chinese-strings"}
        if alphabet == "zh"
        else {"synth": "digits", "synth_options": {"fonts": "packages"}}
    )
    for arch in archs:
        with tempfile.TemporaryDirectory() as folder:
            config = TrainConfig(
                arch=arch, alphabet=Alphabet.load(alphabet), dev_lines=1, directory=Path(folder),
                batch_size=batch_size, ema=0.999, workers=0, threads=threads,
                precision=precision, **drawn_as,
            )  # fmt: skip
            stream = load_inputs(config, config.card()).stream
            drawn = itertools.islice(training_batches(stream), steps)
            batches = [batch for _, (batch,) in drawn]
            with contending(config, batches) as pipes:
                times = by_turns(pipes, len(batches), turns)
        lines = turns * sum(len(batch.images) for batch in batches)
        cost, gain = ratio(times, "loop", "bare"), ratio(times, "plain", "loop")
        speed = lines / times["loop"][:, 0].sum()
        click.echo(f"{arch:20}{speed:12.1f}{_spread(cost):>24}{_spread(gain):>24}")


def _spread(quartiles: NDArray[np.float64]) -> str:
    low, middle, high = quartiles
    return f"{middle:.3f} ({low:.3f}..{high:.3f})"
