"""ONNX file → TensorRT engine and its sidecar."""

import dataclasses
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from math import prod
from pathlib import Path

import onnx

from crnn_export.onnx_file import read_source
from crnn_export.trt.builder import Buildable, BuildOptions, build_plan
from crnn_export.trt.options import (
    builds_for_this_gpu,
    built_for,
    check_precision,
    check_profiles,
    check_request,
    default_profiles,
    widest_line,
)
from crnn_export.trt.progress import Progress, ProgressCallback
from crnn_export.trt.readback import EngineFacts, check_facts, weigh
from crnn_export.trt.verify import verify_plan
from crnn_runtime.backends.cuda_device import capability, device_count, device_name
from crnn_runtime.backends.tensorrt.library import load_library
from crnn_runtime.errors import CrnnError, ModelError
from crnn_runtime.files import write_atomically
from crnn_runtime.model.card import ModelCard
from crnn_runtime.model.detector_card import DetectorCard
from crnn_runtime.model.engine_file import (
    FLAVOUR_NAMES,
    EngineRecord,
    Profile,
    mask_of,
    parse_header,
    sha256_of,
    sidecar_path,
    sidecar_text,
    targets_of,
)

_ONNX_TYPES = {
    onnx.TensorProto.FLOAT: "Float",
    onnx.TensorProto.FLOAT16: "Half",
    onnx.TensorProto.BFLOAT16: "BFloat16",
    onnx.TensorProto.INT8: "Int8",
    onnx.TensorProto.FLOAT8E4M3FN: "FP8",
}


@dataclasses.dataclass(frozen=True)
class EngineInfo:
    """A finished build: the two files and what is in them."""

    path: Path
    sidecar: Path
    card: ModelCard
    record: EngineRecord
    seconds: float


def build_engine(
    onnx_path: str | Path,
    engine_path: str | Path,
    *,
    flavour: str = "auto",
    profiles: Iterable[Profile] | None = None,
    opt_level: int | None = None,
    targets: Iterable[str] = (),
    tf32: bool = False,
    timing_cache: Path | None = None,
    progress: ProgressCallback | None = None,
) -> EngineInfo:
    """Build an engine from an ONNX file of this project and write both it and its sidecar.

    Nothing is written unless the engine is what was asked and, where there is a GPU that
    it is for, reads what the ONNX file reads.

    Args:
        onnx_path: the file; its graph decides the engine's precision.
        engine_path: where to write; the sidecar is ``<engine_path>.json``.
        flavour: ``tensorrt``, ``rtx``, or ``auto`` for the one that can build here.
        profiles: the batches and widths to serve; None is `default_profiles`.
        opt_level: 0 (fast build) to 5 (fast engine), None for TensorRT's default.
        targets: GPUs to build for, as ``sm_86``; TensorRT for RTX only. None given
            means the GPU here, or compute capability 8.0 and later where there is none;
            TensorRT builds for the GPU here.
        tf32: let float32 products round their factors to 10 bits of mantissa.
        timing_cache: file that keeps measured kernels between builds of TensorRT;
            TensorRT for RTX has none.
        progress: told how far the build is.

    Raises:
        ModelError: the ONNX file is no reader of this project, TensorRT cannot
            build it, or the engine is not what was asked or reads something else.
        MissingDependencyError: the library or its GPU is missing.
        CrnnError: the options contradict each other, or a file cannot be written.
    """
    started = time.monotonic()
    path = Path(engine_path)
    chosen, targets = check_request(flavour, targets, opt_level, timing_cache)
    check_writable(path)
    source = read_source(Path(onnx_path))
    check_precision(chosen, built_for(chosen, targets), source.card.precision)
    options = BuildOptions(
        flavour=chosen,
        current=builds_for_this_gpu(chosen, targets),
        profiles=default_profiles(source.card) if profiles is None else tuple(profiles),
        opt_level=opt_level,
        targets=targets,
        tf32=tf32,
        timing_cache=timing_cache,
    )
    check_profiles(options.profiles, source.card)
    plan, facts = build_plan(source, options, Progress(progress))
    weights = weight_elements(source.data)
    facts = weigh(facts, weights)
    check_facts(facts, source.card.precision, weights, options.profiles)
    record = describe_plan(plan, facts, source, options)
    name = FLAVOUR_NAMES[record.flavour]
    most = source.card.max_width
    if source.card.width is None:  # else every line is stretched to that width
        most = min(most, widest_line(record.profiles))
    card = source.card.replace(
        max_width=most,
        versions={**source.card.versions, name: record.version},
    )
    verified = verify_plan(plan, source, card, record)
    record = write_pair(path, plan, card, dataclasses.replace(record, verified=verified))
    return EngineInfo(path, sidecar_path(path), card, record, time.monotonic() - started)


def weight_elements(data: bytes) -> Mapping[str, int]:
    """Elements of an ONNX file's weights by TensorRT's type name.

    A float weight that feeds QuantizeLinear counts as what it is quantised to.
    """
    graph = onnx.load_from_string(data).graph
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "QuantizeLinear" and node.input[0] in types and len(node.input) > 2:
            types[node.input[0]] = types.get(node.input[2], onnx.TensorProto.INT8)
    used = {name for node in graph.node for name in node.input}
    elements: Counter[str] = Counter()
    for tensor in graph.initializer:
        kind = types[tensor.name]
        if kind in _ONNX_TYPES and tensor.name in used:
            elements[_ONNX_TYPES[kind]] += prod(tensor.dims)
    return elements


def describe_plan(
    plan: bytes, facts: EngineFacts, source: Buildable, options: BuildOptions
) -> EngineRecord:
    """The record of a plan, but for its hash; checks the plan's own header."""
    header = parse_header(plan)
    version = str(load_library(options.flavour).__version__)
    if header is None or header.flavour != options.flavour:
        raise ModelError(f"{FLAVOUR_NAMES[options.flavour]} built a plan with a foreign header")
    if options.targets and header.targets not in (None, mask_of(options.targets)):
        raise ModelError(
            f"the engine was built for GPU mask {header.targets:#x}, "
            f"asked was {', '.join(options.targets)}"
        )
    has_gpu = device_count() > 0
    targets = options.targets
    if options.flavour == "tensorrt":
        targets = (f"sm_{capability(0)}",)
    elif options.current:
        targets = targets_of(header.targets or 0)
    return EngineRecord(
        flavour=options.flavour,
        version=header.version or version,
        targets=targets,
        gpu=device_name(0) if has_gpu else "",
        precision=facts.precision,
        evidence=facts.evidence,
        weights=facts.weights,
        profiles=facts.profiles or options.profiles,
        activation_bytes=facts.activation_bytes,
        size=len(plan),
        sha256="",
        onnx_sha256=source.sha256,
        options={
            "opt_level": options.opt_level,
            "tf32": options.tf32,
            **({"target": "current"} if options.current else {}),
        },
    )


def check_writable(path: Path) -> None:
    """A build takes minutes: say before it that its result could not be written."""
    if not path.parent.is_dir():
        raise CrnnError(f"cannot write {path}: there is no folder {path.parent}")
    if path.is_dir():
        raise CrnnError(f"cannot write {path}: it is a folder")


def write_pair(
    path: Path, plan: bytes, card: ModelCard | DetectorCard, record: EngineRecord
) -> EngineRecord:
    """Write engine and sidecar, one rename right after the other; returns the final record."""
    final = record

    def write_sidecar(sidecar_part: Path) -> None:
        nonlocal final

        def write_plan(part: Path) -> None:
            nonlocal final
            part.write_bytes(plan)
            final = dataclasses.replace(record, sha256=sha256_of(part))
            sidecar_part.write_text(sidecar_text(card, final), "utf-8")

        write_atomically(path, write_plan)

    write_atomically(sidecar_path(path), write_sidecar)
    return final
