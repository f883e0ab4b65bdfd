"""The model files that a check of a GPU compares, and how they are measured."""

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crnn_runtime.backends import Backend, open_backend
from crnn_runtime.errors import CrnnError
from crnn_runtime.picture.load import load_image
from crnn_runtime.picture.preprocess import resize_line
from crnn_runtime.recognizer import Recognizer
from tools.gpu.first import stop_after
from tools.gpu.report import Reading, Timing, say

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PRECISIONS = ("fp32", "fp16", "int8")
SHAPES = tuple((batch, width) for width in (64, 320, 1024, 2048) for batch in (1, 8, 64))

_SEED = 7_000_003  # of lines that neither training nor a test has drawn
_CALIBRATION = 200
_STEADY = 5  # runs in which none was the fastest by 5 %
_MOST_WARM_UPS = 100

Sample = tuple[NDArray[np.uint8], str]
"""A picture of a line (H, W, 3) and what it says."""


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A model file that is compared.

    Attributes:
        name: of it in the report.
        device: that it runs on.
        make: makes the file, and says what it is.
    """

    name: str
    device: str
    make: Callable[[], tuple[Path, str]]


def draw_samples(count: int) -> tuple[list[Sample], list[Sample], str]:
    """Lines to read, lines to calibrate on, and in words what they are.

    Fresh ones of the kind that the shipped reader was trained for; where what draws
    them is missing, the few that are shipped.
    """
    try:
        from crnn.recipes import load_recipe  # noqa: PLC0415
        from crnn.synth import Synthesizer  # noqa: PLC0415

        synthesizer = Synthesizer("digits", seed=_SEED, **load_recipe("digits")["synth_options"])
        drawn = (synthesizer.line(index) for index in range(count + _CALIBRATION))
        samples = [(np.asarray(sample.image), sample.text) for sample in drawn]
    except (ImportError, CrnnError) as error:
        texts = dict(
            line.split("\t") for line in (EXAMPLES / "lines.tsv").read_text("utf-8").splitlines()
        )
        samples = [(load_image(EXAMPLES / path, "rgb"), text) for path, text in texts.items()]
        return samples, samples, f"The lines of examples/, because none can be drawn: {error}"
    words = "Synthetic lines of digits that the reader was not trained on"
    return samples[:count], samples[count:], words


def export_digits(target: Path) -> None:
    """The shipped reader of digits as an ONNX file."""
    from crnn.checkpoints import load_model  # noqa: PLC0415
    from crnn_export.to_onnx import export_onnx  # noqa: PLC0415

    checkpoint = EXAMPLES / "digits.pth"
    model, card = load_model(checkpoint)
    export_onnx(model, card, target, checkpoint=checkpoint)


class ImpossibleError(CrnnError):
    """A precision that no engine for the GPU here can have."""


def refuse_impossible(flavour: str, precision: str) -> None:
    """Raise `ImpossibleError` for a precision that no engine for the GPU here can have."""
    from crnn_export.trt.options import (  # noqa: PLC0415
        built_for,
        check_precision,
        choose_flavour,
    )

    chosen = choose_flavour(flavour)
    try:
        check_precision(chosen, built_for(chosen, ()), precision)
    except CrnnError as error:
        raise ImpossibleError(f"left out: {error}") from error


def reduce_digits(
    source: Path, target: Path, precision: str, calibration: Sequence[Sample]
) -> None:
    """The shipped reader's ONNX file in another precision, held to its accuracy on some lines."""
    from crnn_export.onnx_file import read_source  # noqa: PLC0415
    from crnn_export.precision.gate import convert_precision  # noqa: PLC0415

    card = read_source(source).card
    pixels = [resize_line(load_image(image, card.color), card) for image, _ in calibration]
    texts = [text for _, text in calibration]
    convert_precision(source, target, precision, lines=pixels, truths=texts)


def make_first(folder: Path, flavour: str, deadline: float = math.inf) -> tuple[Path, Path]:
    """An engine of the shipped reader, and the float32 ONNX file that it is compared with.

    It is in float32, or in fp16 where the GPU's engines cannot be in float32.

    Raises:
        CrnnError: it cannot be built here, or not by the deadline.
    """
    from crnn_export.trt import build_engine  # noqa: PLC0415

    stop_after(deadline)
    engine, source = folder / "first.trt", folder / "first.onnx"
    export_digits(source)
    graph = source
    try:
        refuse_impossible(flavour, "fp32")
    except ImpossibleError:
        graph = folder / "first.fp16.onnx"
        reduce_digits(source, graph, "fp16", draw_samples(0)[1])
    build_engine(graph, engine, flavour=flavour, progress=lambda *_: stop_after(deadline))
    return engine, source


def list_candidates(
    folder: Path,
    flavour: str,
    calibration: Sequence[Sample],
    deadline: float,
    missing: frozenset[str] = frozenset(),
) -> list[Candidate]:
    """The model files that are compared; the first is the reference.

    Args:
        folder: for files.
        flavour: of the engines.
        calibration: lines for int8.
        deadline: on the clock of `time.monotonic`.
        missing: pieces that are not here (`tools.gpu.pieces`), and need no candidate.
    """
    source = folder / "fp32.onnx"

    def export() -> tuple[Path, str]:
        export_digits(source)
        return source, "the reference"

    def build(precision: str) -> tuple[Path, str]:
        from crnn_export.trt import build_engine  # noqa: PLC0415

        refuse_impossible(flavour, precision)
        graph, engine = folder / f"{precision}.onnx", folder / f"{precision}.trt"
        if precision != "fp32":
            reduce_digits(source, graph, precision, calibration)
        info = build_engine(
            graph, engine, flavour=flavour, progress=lambda *_: stop_after(deadline)
        )
        record = info.record
        return engine, (
            f"{record.built_with}, {record.precision} by its {record.evidence}, "
            f"{record.size / 1e6:.1f} MB, built in {info.seconds:.1f} s"
        )

    found = [Candidate("ONNX fp32, CPU", "cpu", export)]
    if "ONNX Runtime CUDA" not in missing:
        found.append(Candidate("ONNX fp32, CUDA", "cuda", lambda: (source, "ONNX Runtime")))
    if "TensorRT" not in missing:
        precisions = PRECISIONS if "reduction" not in missing else PRECISIONS[:1]
        found += [Candidate(f"engine {p}", "cuda", partial(build, p)) for p in precisions]
    return found


def measure(
    candidates: Sequence[Candidate],
    samples: Sequence[Sample],
    *,
    shapes: Sequence[tuple[int, int]] = SHAPES,
    seconds: float = 1.0,
    deadline: float = math.inf,
    tell: Callable[[list[Reading], list[Timing]], object] = lambda *_: None,
) -> tuple[list[Reading], list[Timing]]:
    """Let every model read the lines and time it; the first one is the reference.

    Args:
        candidates: the models.
        samples: lines and what they say.
        shapes: (batch, width) to time on a GPU.
        seconds: to time each.
        deadline: on the clock of `time.monotonic`; what is not begun then is left out.
        tell: is given all that is known so far, before and after each model.
    """
    images, truths = [image for image, _ in samples], [text for _, text in samples]
    reference: list[str] | None = None
    readings: list[Reading] = []
    timings: list[Timing] = []
    for candidate in candidates:
        say(candidate.name)
        tell(
            [*readings, Reading(candidate.name, note="the check ended in the midst of it")], timings
        )
        texts: list[str] = []
        note, possible = "", True
        try:
            stop_after(deadline)
            path, note = candidate.make()
            with Recognizer(path, candidate.device) as recognizer:
                texts = [line.text for line in recognizer.read(images)]
            if candidate.device != "cpu":
                opened = partial(open_backend, path, candidate.device)
                timings += time_shapes(candidate.name, opened, shapes, seconds, deadline)
        except Exception as error:  # whatever one model does, the others are measured
            note = "; ".join(filter(None, (note, _in_one_line(error))))
            possible = not isinstance(error, ImpossibleError)
        reference = reference or texts
        equal, right = (_same(texts, others) if texts else 0 for others in (reference, truths))
        readings.append(Reading(candidate.name, len(texts), equal, right, note, possible))
        tell(readings, timings)
    return readings, timings


def _in_one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, CrnnError) else f"{type(error).__name__}: {text}"


def time_shapes(
    name: str,
    opened: Callable[[], Backend],
    shapes: Sequence[tuple[int, int]],
    seconds: float,
    deadline: float = math.inf,
) -> Iterator[Timing]:
    """Time ``infer`` for each (batch, width), about ``seconds`` long and 10 calls at least.

    Each has a backend of its own, because an engine replays a few shapes as graphs only, and
    those that came later would be timed without. Shapes that are not begun by the deadline are
    left out.
    """
    for batch, width in shapes:
        if time.monotonic() > deadline:
            return
        with opened() as backend:
            card = backend.card
            images = np.random.default_rng(0).standard_normal(
                (batch, card.channels, card.height, width), np.float32
            )
            warm_up(lambda: backend.infer(images))  # noqa: B023 - called at once
            taken: list[float] = []
            while len(taken) < 10 or sum(taken) < seconds:
                start = time.perf_counter()
                backend.infer(images)
                taken.append(time.perf_counter() - start)
        p50, p95 = np.percentile(taken, (50, 95)).tolist()
        yield Timing(name, batch, width, len(taken), p50, p95)


def warm_up(run: Callable[[], object]) -> int:
    """Run until it gets no faster: kernels are compiled and chosen, graphs captured.

    Returns:
        the number of runs.
    """
    best, since, runs = math.inf, 0, 0
    while since < _STEADY and runs < _MOST_WARM_UPS:
        start = time.perf_counter()
        run()
        seconds = time.perf_counter() - start
        since = 0 if seconds < 0.95 * best else since + 1
        best = min(best, seconds)
        runs += 1
    return runs


def _same(some: Sequence[str], others: Sequence[str]) -> int:
    return sum(a == b for a, b in zip(some, others, strict=True))
