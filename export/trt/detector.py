"""A text detector in ONNX → a TensorRT engine of one canvas, and its sidecar.

Pages have every size, and each one that is new costs an engine dearly: so it has one canvas,
a square, onto which pages are scaled and put.
"""

import dataclasses
import hashlib
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from crnn_export.trt.build import (
    check_writable,
    describe_plan,
    weight_elements,
    write_pair,
)
from crnn_export.trt.builder import BuildOptions, build_plan
from crnn_export.trt.options import builds_for_this_gpu, check_request, not_for_this_gpu
from crnn_export.trt.progress import Progress, ProgressCallback
from crnn_export.trt.readback import check_facts, weigh
from crnn_export.trt.verify import Agreement, judge
from crnn_runtime.backends import INPUT_NAME
from crnn_runtime.backends.cuda_device import device_count
from crnn_runtime.errors import CrnnError, ModelError
from crnn_runtime.model.detector_card import DetectorCard
from crnn_runtime.model.engine_file import (
    FLAVOUR_NAMES,
    EngineRecord,
    Profile,
    Range,
    sidecar_path,
)
from crnn_runtime.page.detect import MARGIN, SIDE
from crnn_runtime.page.network import MAPS, EngineNetwork, OnnxNetwork

_CHANNELS = 3
_CELL = 16  # pixels of one colour in the picture that an engine is tried on


@dataclasses.dataclass(frozen=True)
class DetectorSource:
    """The graph to build, with its canvas and its tensors' names fixed."""

    path: Path
    data: bytes = dataclasses.field(repr=False)
    sha256: str
    card: DetectorCard
    canvas: int

    @property
    def pixels(self) -> tuple[int, int]:
        """Channels and height of the input."""
        return _CHANNELS, self.canvas


@dataclasses.dataclass(frozen=True)
class DetectorInfo:
    """A finished build: the two files and what is in them."""

    path: Path
    sidecar: Path
    card: DetectorCard
    record: EngineRecord
    seconds: float


def build_detector(
    onnx_path: Path,
    engine_path: Path,
    *,
    side: int = SIDE,
    flavour: str = "auto",
    opt_level: int | None = None,
    targets: tuple[str, ...] = (),
    timing_cache: Path | None = None,
    progress: ProgressCallback | None = None,
) -> DetectorInfo:
    """Build an engine from a detector's ONNX file and write both it and its sidecar.

    Args:
        onnx_path: a DBNet, see `crnn_runtime.page.network.OnnxNetwork`.
        engine_path: where to write; the sidecar is ``<engine_path>.json``.
        side: longer side in pixels that pages are scaled to; the canvas has a margin, too.
        flavour: see `crnn_export.trt.build_engine`.
        opt_level: see there.
        targets: see there.
        timing_cache: see there.
        progress: told how far the build is.

    Raises:
        ModelError: the file is no text detector, TensorRT cannot build it, or the engine is
            not what was asked.
        MissingDependencyError: the library or its GPU is missing.
        CrnnError: an option is wrong, or a file cannot be written.
    """
    started = time.monotonic()
    chosen, wanted = check_request(flavour, targets, opt_level, timing_cache)
    if not 32 <= side <= 8192:
        raise CrnnError(f"side is {side}: it must be from 32 to 8192")
    check_writable(engine_path)
    source = _read(onnx_path, side)
    square = Profile(Range(1, 1, 1), Range(source.canvas, source.canvas, source.canvas))
    options = BuildOptions(
        flavour=chosen, current=builds_for_this_gpu(chosen, wanted), profiles=(square,),
        opt_level=opt_level, targets=wanted, timing_cache=timing_cache,
    )  # fmt: skip
    plan, facts = build_plan(source, options, Progress(progress))
    weights = weight_elements(source.data)
    facts = weigh(facts, weights)
    check_facts(facts, source.card.precision, weights, options.profiles)
    record = describe_plan(plan, facts, source, options)
    name = FLAVOUR_NAMES[record.flavour]
    card = source.card.replace(versions={**source.card.versions, name: record.version})
    verified = _verify(plan, source, card, record)
    record = write_pair(engine_path, plan, card, dataclasses.replace(record, verified=verified))
    return DetectorInfo(
        engine_path, sidecar_path(engine_path), card, record, time.monotonic() - started
    )


def _verify(
    plan: bytes, source: DetectorSource, card: DetectorCard, record: EngineRecord
) -> dict[str, Any]:
    """Run the engine on the GPU that is here, as `crnn_export.trt.verify` does a reader's.

    Raises:
        ModelError: it does not load or run, or finds something else than the ONNX file.
    """
    if device_count() == 0:
        return {}
    if reason := not_for_this_gpu(record.flavour, record.targets):
        return {"reason": reason}
    side = -(-source.canvas // _CELL)
    cells = np.random.default_rng(0).standard_normal((1, _CHANNELS, side, side), np.float32)
    picture = cells.repeat(_CELL, axis=2).repeat(_CELL, axis=3)
    picture = picture[:, :, : source.canvas, : source.canvas]
    with (
        tempfile.TemporaryDirectory() as name,
        closing(OnnxNetwork(source.path, "cpu", None)) as reference,
    ):
        path = Path(name) / "engine.trt"
        write_pair(path, plan, card, record)
        try:
            with closing(EngineNetwork(path, "cuda")) as engine:
                found = engine.infer(picture)
        except CrnnError as error:
            raise ModelError(
                f"the engine was built and does not run on this GPU: {error}"
            ) from error
        expected = reference.infer(picture)
    same = (found >= card.threshold) == (expected >= card.threshold)
    difference = float(np.abs(found - expected).mean())  # NaN, if there is one, fits no tolerance
    agreement = Agreement(1, int(same.size), float(same.mean()), difference)
    return judge(agreement, card.precision, source.path)


def _read(path: Path, side: int) -> DetectorSource:
    network = OnnxNetwork(path, "cpu", 1)  # refuses what is no detector
    card, fixed = network.card, network.fixed
    network.close()
    multiple = card.multiple
    canvas = -(-(side + 2 * MARGIN) // multiple) * multiple
    if fixed is not None:
        if fixed[0] != fixed[1]:
            raise CrnnError(f"{path} takes {fixed[1]} × {fixed[0]} pixels alone, not a square")
        canvas = fixed[0]
    model = onnx.load(path)
    given, found = model.graph.input[0], model.graph.output[0]
    names = {given.name: INPUT_NAME, found.name: MAPS}
    for node in model.graph.node:
        for tensors in (node.input, node.output):
            tensors[:] = [names.get(each, each) for each in tensors]
    given.name, found.name = INPUT_NAME, MAPS
    for value, shape in ((given, (1, _CHANNELS, canvas, canvas)), (found, (1, 1, canvas, canvas))):
        for dimension, size in zip(value.type.tensor_type.shape.dim, shape, strict=True):
            dimension.dim_value = size
    del model.graph.value_info[:]  # of any canvas
    data = model.SerializeToString()
    original = hashlib.sha256(path.read_bytes()).hexdigest()
    return DetectorSource(path, data, original, card, canvas)
