"""A built engine against its ONNX file, on the GPU that is here, before it is written.

TensorRT has had releases that compute wrongly without a word, in engines of several
profiles for one (fixed in 10.8, its issue 4250; 4533, 4813 and 4853 are open). So an
engine has to read before it is kept: the least, the best and the largest shape of each
profile, with rows that repeat, which must give the same wherever they stand.
"""

import dataclasses
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from crnn_export.onnx_file import OnnxSource, save_reader
from crnn_export.precision.modelopt import emulate_bf16
from crnn_export.trt.options import not_for_this_gpu
from crnn_runtime.backends import Backend, open_backend
from crnn_runtime.backends.cuda_device import device_count
from crnn_runtime.backends.tensorrt.backend import TensorRTBackend
from crnn_runtime.backends.tensorrt.calls import Call
from crnn_runtime.decode.greedy import best_path
from crnn_runtime.errors import CrnnError, ModelError
from crnn_runtime.model.card import ModelCard
from crnn_runtime.model.engine_file import EngineRecord, Profile

TOLERANCES: Mapping[str, tuple[float, float]] = {
    "fp32": (0.999, 1e-3),
    "fp16": (0.97, 0.02),
    "bf16": (0.9, 0.05),
    "int8": (0.6, 0.1),
    "fp8": (0.6, 0.1),
}
"""Precision → least share of time steps with the same best class, and the most that its
probability may differ by on average. Wide enough for noise and an untrained network, whose
classes lie close together: what is caught is an engine that computes something else."""

_ROWS = 2  # different lines, which are repeated to the batch


@dataclasses.dataclass(frozen=True)
class Agreement:
    """The differences between an engine's outputs and the ONNX file's.

    Attributes:
        shapes: that were run.
        steps: time steps compared, or pixels of a detector's map.
        equal: share of them with the same best class, or on the same side of the threshold.
        difference: of the best class's probability, on average, where the class is the same,
            or of a pixel's.
    """

    shapes: int
    steps: int
    equal: float
    difference: float


def verify_plan(
    plan: bytes, source: OnnxSource, card: ModelCard, record: EngineRecord
) -> dict[str, Any]:
    """Run a plan on the first GPU and compare it with its ONNX file.

    Returns:
        for the sidecar: the fields of `Agreement` and the reference, or a ``reason`` why
        nothing could be compared; empty without a GPU.

    Raises:
        ModelError: the engine does not load, cannot run a shape, or gives something else.
    """
    if device_count() == 0:
        return {}
    if reason := not_for_this_gpu(record.flavour, record.targets):
        return {"reason": reason}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            with (
                _open_reference(source, folder) as reference,
                TensorRTBackend.of_plan(folder / "engine.trt", plan, card, record) as engine,
            ):
                found = compare(engine, reference, record.profiles)
        except _NoReferenceError as error:
            return {"reason": str(error)}
        except CrnnError as error:
            raise ModelError(
                f"the engine was built and does not run on this GPU: {error}"
            ) from error
    return judge(found, card.precision, source.path)


def judge(found: Agreement, precision: str, path: Path) -> dict[str, Any]:
    """Returns the part of a comparison with the ONNX file at ``path`` that a sidecar keeps.

    Raises:
        ModelError: they agree less than `TOLERANCES` demand.
    """
    least, most = TOLERANCES[precision]
    if not (found.equal >= least and found.difference <= most):
        raise ModelError(
            f"the engine was built and reads something else than {path}: {found.equal:.2%} "
            f"of {found.steps} steps or pixels are classed the same (at least {least:.1%} must), "
            f"the probabilities differ by {found.difference:.1e} on average (at most {most:.0e} "
            "may): build with another --profile or TensorRT release"
        )
    return {**dataclasses.asdict(found), "reference": f"onnxruntime {ort.__version__}"}


class _NoReferenceError(CrnnError):
    """ONNX Runtime's CPU provider cannot run the graph, as those of fp8."""


def _open_reference(source: OnnxSource, folder: Path) -> Backend:
    """The ONNX file on the CPU; for bf16, which no CPU runs, one that rounds as it does.

    Raises:
        _NoReferenceError: ONNX Runtime does not load it.
    """
    path = source.path
    if source.card.precision == "bf16":
        path = folder / "reference.onnx"
        save_reader(emulate_bf16(onnx.load_from_string(source.data)), source.card, path)
    try:
        return open_backend(path, "cpu")
    except CrnnError as error:
        raise _NoReferenceError(f"ONNX Runtime cannot run the graph: {error}") from error


def compare(
    engine: TensorRTBackend, reference: Backend, profiles: tuple[Profile, ...]
) -> Agreement:
    """Run each profile's corners on both, the engine in that very profile, see `verify_plan`.

    Raises:
        CrnnError: the engine cannot run a shape.
    """
    card = engine.card
    equal: list[NDArray[np.bool_]] = []
    difference: list[NDArray[np.float64]] = []
    shapes = list(_corners(profiles))
    random = np.random.default_rng(0)
    for profile, batch, width in shapes:
        rows = random.standard_normal((_ROWS, card.channels, card.height, width), np.float32)
        which = np.arange(batch) % _ROWS
        outputs = engine.run(Call(profile, 0, batch, batch, width), rows[which])
        try:
            expected = reference.infer(rows)
        except Exception as error:  # the library's exceptions share no base class
            reason = str(error).strip().splitlines()[-1]
            raise _NoReferenceError(f"ONNX Runtime cannot run the graph: {reason}") from error
        (ids, probs), (wanted_ids, wanted_probs) = best_path(outputs), best_path(expected)
        if ids.shape != wanted_ids[which].shape:
            raise CrnnError(
                f"a batch of {batch} lines of {width} pixels gives {ids.shape} time steps, "
                f"the ONNX file {wanted_ids[which].shape}"
            )
        same = ids == wanted_ids[which]
        equal.append(same.ravel())
        difference.append(np.abs(probs.astype(np.float64) - wanted_probs[which])[same])
    all_equal = np.concatenate(equal)
    differences = np.concatenate(difference)
    # A value that is no number is equal to none, and makes the mean one that is none.
    mean = float(differences.mean()) if differences.size else float("inf")
    return Agreement(len(shapes), int(all_equal.size), float(all_equal.mean()), mean)


def _corners(profiles: tuple[Profile, ...]) -> Iterator[tuple[int, int, int]]:
    """(profile, batch, width): the least, best and largest shape of each profile, each once."""
    for index, profile in enumerate(profiles):
        ends = ("min", "opt", "max")
        corners = [(getattr(profile.batch, end), getattr(profile.width, end)) for end in ends]
        for batch, width in dict.fromkeys(corners):
            yield index, batch, width
