"""Lines through Triton Inference Server against the runtime alone, by turns in one run.

    crnn-bench triton
    crnn-bench triton digits --threads 2

The server runs on this machine, and so does what asks it: their processor time is in the
figures. It reads with as many threads as the runtime is given, in instances of one each.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click
import numpy as np

from crnn_benchmarks.cases.serving.http_load import Load, closed_loop, infer_request, open_loop
from crnn_benchmarks.harness.inputs import draw_line, mixed_widths, real_lines
from crnn_benchmarks.harness.targets import Figure, print_figures, print_machine, ratio
from crnn_runtime import Recognizer
from crnn_runtime.console import Command
from crnn_runtime.cpu import available_cpus
from crnn_runtime.readers import reader_names
from crnn_serve.triton.local_server import TritonServer, served

_CONCURRENCY = 16
_PICTURES = 64
_FEW, _MANY = 2_000, 20_000
_LATENCY_SECONDS = 30


@click.command(cls=Command)
@click.argument("model", required=False)
@click.option(
    "--threads", type=click.IntRange(min=1), help="CPU threads of both (default: all allowed)."
)
@click.option("--lines", type=click.Path(path_type=Path), help="Folder of pictures.")
@click.option("--turns", type=click.IntRange(min=1), default=7, show_default=True)
@click.option("--count", type=click.IntRange(min=16), default=2_000, help="Lines of a turn.")
@click.option("--queue-delay", type=float, default=0.0, help="See crnn-export.")
@click.option("--skip-memory", is_flag=True, help=f"Without the {_MANY:,} requests.")
def main(
    model: str | None,
    threads: int | None,
    lines: Path | None,
    turns: int,
    count: int,
    queue_delay: float,
    skip_memory: bool,
) -> None:
    """Measure MODEL (default: zh, else digits), and print each figure with its target."""
    model = model or next(name for name in ("zh", "digits") if name in reader_names())
    threads = threads or available_cpus()
    pictures = [path.read_bytes() for path in real_lines(lines)] or [
        draw_line(width, seed=n) for n, width in enumerate(mixed_widths(_PICTURES, 64, 640))
    ]
    print_machine(f"{model}, {threads} threads, {len(pictures)} pictures")
    print_figures(_figures(model, threads, pictures, turns, count, queue_delay, skip_memory))


def _figures(
    model: str, threads: int, pictures: Sequence[bytes], turns: int, count: int,
    queue_delay: float, skip_memory: bool,
) -> Iterator[Figure]:  # fmt: skip
    with (
        served(model, instances=threads, threads=1, queue_delay=queue_delay) as (server, name),
        Recognizer(model, threads=threads) as recognizer,
    ):
        requests = [infer_request(name, [picture]) for picture in pictures]
        read = _reading(recognizer, pictures, count)
        rate, figure = _throughput(server, requests, read, turns, count)
        yield figure
        yield _latency(server, requests, rate / 2)
        if not skip_memory:
            yield _memory(server, requests)


def _reading(recognizer: Recognizer, pictures: Sequence[bytes], count: int) -> Callable[[], None]:
    """The runtime alone on as many lines as the server gets in a turn."""

    def read() -> None:
        sources = (pictures[n % len(pictures)] for n in range(count))
        failed = [line.error for line in recognizer.stream(sources, errors="return") if line.error]
        assert not failed, failed[0]

    return read


def _checked(answers: Load) -> Load:
    assert not answers.failures, answers.failures[0]
    return answers


def _throughput(
    server: TritonServer,
    requests: Sequence[bytes],
    read: Callable[[], None],
    turns: int,
    count: int,
) -> tuple[float, Figure]:
    """By turns; also the processor time of each, which a busy machine spoils least."""
    seconds, work = np.zeros((turns, 2)), np.zeros((turns, 2))
    for turn in range(-1, turns):  # the first only warms up
        start, own = time.perf_counter(), time.process_time()
        read()
        bare = time.perf_counter() - start, time.process_time() - own
        own, theirs = time.process_time(), server.processor_seconds()
        answers = _checked(closed_loop(server.port, requests, count, _CONCURRENCY))
        spent = time.process_time() - own + server.processor_seconds() - theirs
        if turn >= 0:
            seconds[turn] = bare[0], answers.seconds
            work[turn] = bare[1], spent
    middle, shown = ratio(seconds)
    rates = count / np.median(seconds, axis=0)
    costs = np.median(work, axis=0) / count * 1e3
    return float(rates[1]), Figure(
        name=f"lines/s through the server, {_CONCURRENCY} requests of one image under way, "
        "over the runtime's",
        value=f"{shown}; {rates[1]:.0f} / {rates[0]:.0f} lines/s; processor time of a line "
        f"{costs[1]:.2f} / {costs[0]:.2f} ms, ratio {ratio(work)[1]}",
        target="at least 0.80",
        holds=middle >= 0.8,
    )


def _latency(server: TritonServer, requests: Sequence[bytes], rate: float) -> Figure:
    """Open loop at a constant rate."""
    answers = _checked(open_loop(server.port, requests, int(rate * _LATENCY_SECONDS), rate))
    p50, p95, p99 = (np.quantile(answers.latencies, (0.5, 0.95, 0.99)) * 1e3).tolist()
    return Figure(
        name=f"p99 over p50 at {rate:.0f} requests/s, half of that",
        value=f"{p99 / p50:.2f}; p50 {p50:.1f}, p95 {p95:.1f}, p99 {p99:.1f} ms, "
        f"{len(answers.latencies):,} requests",
        target="under 4",
        holds=p99 < 4 * p50,
    )


def _memory(server: TritonServer, requests: Sequence[bytes]) -> Figure:
    """Measures the memory that the server and its instances hold."""
    _checked(closed_loop(server.port, requests, _FEW, _CONCURRENCY))
    first = server.memory()
    _checked(closed_loop(server.port, requests, _MANY - _FEW, _CONCURRENCY))
    last = server.memory()
    return Figure(
        name=f"memory of the server after {_MANY:,} requests over after {_FEW:,}",
        value=f"{last / first:.3f}, {last / 1e6:.0f} MB / {first / 1e6:.0f} MB",
        target="at most 1.05",
        holds=last <= 1.05 * first,
    )
