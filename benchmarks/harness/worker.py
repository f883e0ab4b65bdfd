"""One backend in a process of its own: ``python -m crnn_benchmarks.harness.worker``.

Questions come in and answers go out as `crnn_benchmarks.peers.runner` says.
"""

import itertools
import math
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np

from crnn_benchmarks.harness.backends import WAYS_TO_RUN, Opened, open_subject
from crnn_benchmarks.harness.models import Subject, model_file, torch_model
from crnn_benchmarks.harness.schema import STAGES
from crnn_benchmarks.peers.runner import Answer, answer_questions, peak_memory
from crnn_runtime.decode.greedy import GreedyDecoder
from crnn_runtime.errors import CrnnError
from crnn_runtime.model.alphabet import Alphabet
from crnn_runtime.picture.load import load_image
from crnn_runtime.picture.preprocess import resize_line, to_input, valid_steps
from crnn_runtime.recognizer import Recognizer

_YARD = np.linspace(0, 1, 1 << 17)


class Case:
    """A configuration, ready to be run: picture files to texts, each stage timed.

    Args:
        opened: the reader.
        pictures: paths of as many pictures as a batch holds lines.
        width: of the network's input in pixels, to which every line is stretched.
    """

    def __init__(self, opened: Opened, pictures: list[str], width: int) -> None:
        self._infer = opened.infer
        self._card = opened.card.replace(width=width, max_width=max(width, opened.card.max_width))
        self._pictures = pictures
        self._decoder = GreedyDecoder(self._card.alphabet)

    def run(self) -> dict[str, float]:
        """Once. Seconds of each of `STAGES`."""
        card = self._card
        marks = [time.perf_counter()]
        images = [load_image(picture, card.color) for picture in self._pictures]
        marks.append(time.perf_counter())
        lines = [resize_line(image, card) for image in images]
        batch = to_input(lines, card)
        marks.append(time.perf_counter())
        outputs = self._infer(batch)
        marks.append(time.perf_counter())
        steps = np.array([valid_steps(card, line.shape[1]) for line in lines])
        for reading in self._decoder.decode(outputs, steps):
            "".join(card.alphabet.characters[code - 1] for code in reading.codes)
        marks.append(time.perf_counter())
        seconds = (after - before for before, after in itertools.pairwise(marks))
        return dict(zip(STAGES, seconds, strict=True))


class Worker:
    """The questions that a worker answers."""

    def __init__(self) -> None:
        self._opened: dict[tuple[Any, ...], Opened] = {}
        self._cases: dict[str, Case] = {}
        self._recognizers: dict[str, Recognizer] = {}
        self._steps: dict[str, Callable[[], None]] = {}

    def questions(self) -> dict[str, Any]:
        """By name."""
        names = ("prepare", "cost", "open", "run", "yardstick", "memory", "peak", "throughput",
                 "train")  # fmt: skip
        return {name: getattr(self, name) for name in names}

    def prepare(self, asked: Answer) -> Answer:
        """Export a subject, so that opening it later is quick."""
        return {"file": str(model_file(Subject(**asked["subject"]), asked["precision"]))}

    def cost(self, asked: Answer) -> Answer:
        """Operations and bytes of a batch on paper."""
        from crnn_benchmarks.harness.roofline import cost  # noqa: PLC0415

        model, card = torch_model(Subject(**asked["subject"]))
        flop, traffic = cost(model, asked["batch"], card.height, asked["width"])
        return {"flop": flop, "traffic": traffic}

    def open(self, asked: Answer) -> Answer:
        """Load a configuration and run it until it is warm; how long it takes then."""
        opened = self._open(asked, (len(asked["pictures"]), asked["width"]))
        case = Case(opened, asked["pictures"], asked["width"])
        seconds = math.inf
        for _ in range(asked["warmup"]):
            seconds = min(seconds, sum(case.run().values()))
        self._cases[asked["case"]] = case
        return {"model": asdict(opened.model), "seconds": seconds}

    def _open(self, asked: Answer, shape: tuple[int, ...] = ()) -> Opened:
        subject = Subject(**asked["subject"])
        which = () if WAYS_TO_RUN[asked["backend"]].is_shared else shape
        key = (subject.name, asked["backend"], asked["precision"], asked["threads"], *which)
        if key not in self._opened:
            backend, precision, threads = asked["backend"], asked["precision"], asked["threads"]
            self._opened[key] = open_subject(subject, backend, precision, threads)
        return self._opened[key]

    def run(self, asked: Answer) -> Answer:
        """Run a case several times; seconds of each stage, and processor time of all."""
        case = self._cases[asked["case"]]
        start = time.process_time()
        samples = [case.run() for _ in range(asked["times"])]
        return {"samples": samples, "cpu": (time.process_time() - start) / asked["times"]}

    def yardstick(self, _: Answer) -> Answer:
        """Seconds of a fixed piece of arithmetic on one thread."""
        start = time.perf_counter()
        np.sin(_YARD).sum()
        return {"seconds": time.perf_counter() - start}

    def memory(self, _: Answer) -> Answer:
        """Bytes that this process held at most."""
        return {"bytes": peak_memory()}

    def peak(self, asked: Answer) -> Answer:
        """Measures the best that a library reaches here."""
        from crnn_benchmarks.harness.roofline import measure_peak  # noqa: PLC0415

        return asdict(measure_peak(asked["library"], asked["threads"]))

    def throughput(self, asked: Answer) -> Answer:
        """Read picture files as an application does; seconds of the clock and of processors."""
        opened = self._open(asked)
        if opened.file is None:
            raise CrnnError(f"{asked['backend']} has no Recognizer: it is for latency only")
        key = f"{opened.file}/{asked['threads']}/{asked['batch']}"
        if key not in self._recognizers:
            self._recognizers[key] = Recognizer(
                opened.file, threads=asked["threads"], batch_size=asked["batch"]
            )
        recognizer = self._recognizers[key]
        start, start_cpu = time.perf_counter(), time.process_time()
        for _ in recognizer.stream(asked["pictures"]):
            pass
        seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
        return {"model": asdict(opened.model), "seconds": seconds, "cpu": cpu}

    def train(self, asked: Answer) -> Answer:
        """Train some steps; seconds of each, and processor time."""
        import torch  # noqa: PLC0415

        from crnn_benchmarks.cases.training.step import training_step  # noqa: PLC0415

        torch.set_num_threads(asked["threads"])
        subject = Subject(**asked["subject"])
        if subject.name not in self._steps:
            step = training_step(subject, asked["batch"], asked["width"], asked["precision"])
            self._steps[subject.name] = step
        step, seconds, start_cpu = self._steps[subject.name], [], time.process_time()
        for _ in range(asked["times"]):
            start = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - start)
        cpu = (time.process_time() - start_cpu) / asked["times"]
        classes = Alphabet.load(subject.alphabet).num_classes
        return {"seconds": seconds, "cpu": cpu, "classes": classes}


if __name__ == "__main__":
    answer_questions(Worker().questions())
