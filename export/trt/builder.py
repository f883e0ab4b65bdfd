"""The calls into TensorRT that turn an ONNX graph into a plan.

The network is strongly typed in TensorRT 10, 11 and TensorRT for RTX alike: the
types in the graph are the engine's types, and no flag could lower them.
"""

import dataclasses
import threading
from pathlib import Path
from typing import Any, Protocol

from crnn_export.trt.options import not_for_this_gpu
from crnn_export.trt.progress import Progress, make_monitor
from crnn_export.trt.readback import EngineFacts, from_build_log, from_engine
from crnn_runtime.backends import INPUT_NAME
from crnn_runtime.backends.cuda_device import device_count
from crnn_runtime.backends.tensorrt.library import (
    LogLine,
    collect_logs,
    create,
    first_error,
    load_library,
    shared_logger,
)
from crnn_runtime.errors import ModelError
from crnn_runtime.files import write_atomically
from crnn_runtime.model.engine_file import FLAVOUR_NAMES, Flavour, Profile


class Buildable(Protocol):
    """An ONNX file that was checked: a line reader's or a text detector's."""

    @property
    def path(self) -> Path:
        """The path of the source, for messages."""

    @property
    def data(self) -> bytes:
        """The graph."""

    @property
    def sha256(self) -> str:
        """The SHA-256 of the source."""

    @property
    def pixels(self) -> tuple[int, int]:
        """Channels and height of the input."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """Options of a build, see `crnn_export.trt.build_engine`."""

    flavour: Flavour
    profiles: tuple[Profile, ...]
    opt_level: int | None = None
    targets: tuple[str, ...] = ()
    tf32: bool = False
    timing_cache: Path | None = None
    current: bool = False
    """Whether TensorRT for RTX builds for the GPU here alone, which it does best."""


def build_plan(
    source: Buildable, options: BuildOptions, progress: Progress
) -> tuple[bytes, EngineFacts]:
    """Build and read back what was built.

    The work is done in a thread of its own, so that Ctrl-C reaches the caller at
    once; TensorRT then stops at its next step.

    Raises:
        ModelError: TensorRT cannot build it; the message is TensorRT's last error.
    """
    plan: list[bytes] = []
    failure: list[BaseException] = []

    def work() -> None:
        try:
            plan.append(_build(source, options, progress, lines))
        except BaseException as error:
            failure.append(error)
        finally:
            done.set()

    done = threading.Event()  # Thread.join() forgets a running thread on Ctrl-C (Python 3.11)
    with collect_logs() as lines:
        thread = threading.Thread(target=work, name="tensorrt-build", daemon=True)
        try:
            thread.start()
            done.wait()
        except KeyboardInterrupt:
            progress.stop.set()
            if thread.ident is not None:  # the interrupt may come before it runs
                done.wait()
            raise
        if failure:
            raise failure[0]
        return plan[0], _read_back(plan[0], options, lines)


def _build(
    source: Buildable, options: BuildOptions, progress: Progress, lines: list[LogLine]
) -> bytes:
    trt = load_library(options.flavour)
    name = FLAVOUR_NAMES[options.flavour]
    builder = create(options.flavour, "Builder")
    typed = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(typed)
    parser = trt.OnnxParser(network, shared_logger(options.flavour))
    if not parser.parse(source.data) or network.num_outputs == 0:
        errors = [parser.get_error(index) for index in range(parser.num_errors)]
        reason = f"{errors[-1].node_operator()}: {errors[-1].desc()}" if errors else ""
        reason = " ".join(reason.split()) or first_error(lines)
        raise ModelError(f"{source.path}: {name} cannot read it: {reason}")
    config, cache = _configure(trt, builder, source, options)
    config.progress_monitor = make_monitor(trt, progress)
    serialized = builder.build_serialized_network(network, config)
    if progress.error is not None:
        raise progress.error
    if serialized is None:
        reason = "it was stopped" if progress.stop.is_set() else first_error(lines)
        raise ModelError(f"{source.path}: {name} cannot build it: {reason}")
    if cache is not None and options.timing_cache is not None:
        content = bytes(cache.serialize())
        write_atomically(options.timing_cache, lambda part: part.write_bytes(content))
    return bytes(serialized)


def _configure(
    trt: Any,  # noqa: ANN401
    builder: Any,  # noqa: ANN401
    source: Buildable,
    options: BuildOptions,
) -> tuple[Any, Any]:
    """The builder's configuration, and the timing cache that must outlive the build."""
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    if options.opt_level is not None:
        config.builder_optimization_level = options.opt_level
    # TF32 rounds what is called float32 to 10 bits of mantissa.
    set_or_clear = config.set_flag if options.tf32 else config.clear_flag
    set_or_clear(trt.BuilderFlag.TF32)
    # From TensorRT 10.10: lets the runtime take less memory for smaller shapes.
    resize = getattr(trt.PreviewFeature, "RUNTIME_ACTIVATION_RESIZE_10_10", None)
    if resize is not None:
        config.set_preview_feature(resize, True)
    names = ["CURRENT"] if options.current else [t.replace("sm_", "SM") for t in options.targets]
    if names:
        config.num_compute_capabilities = len(names)
        for index, name in enumerate(names):
            config.set_compute_capability(getattr(trt.ComputeCapability, name), index)
    channels, height = source.pixels
    for wanted in options.profiles:
        profile = builder.create_optimization_profile()
        shapes = [
            (getattr(wanted.batch, end), channels, height, getattr(wanted.width, end))
            for end in ("min", "opt", "max")
        ]
        profile.set_shape(INPUT_NAME, *shapes)
        if config.add_optimization_profile(profile) < 0:
            raise ModelError(f"{source.path}: TensorRT refuses profile {wanted}")
    return config, _timing_cache(config, options)


def _timing_cache(config: Any, options: BuildOptions) -> Any:  # noqa: ANN401
    """The timing cache set on ``config``; None where none is asked for."""
    path = options.timing_cache
    if path is None:
        return None
    cache = config.create_timing_cache(path.read_bytes() if path.is_file() else b"")
    if not config.set_timing_cache(cache, False):
        raise ModelError(
            f"timing cache {path} is of another GPU or another TensorRT: delete it or name another"
        )
    return cache


def _read_back(plan: bytes, options: BuildOptions, lines: list[LogLine]) -> EngineFacts:
    """Facts from the loaded engine where there is a GPU, else from the builder's log."""
    facts = from_build_log(lines, INPUT_NAME)
    if device_count() == 0 or not_for_this_gpu(options.flavour, options.targets):
        return facts
    engine = create(options.flavour, "Runtime").deserialize_cuda_engine(plan)
    if engine is None:  # whoever runs it is told why
        return facts
    inspected = from_engine(load_library(options.flavour), engine, INPUT_NAME)
    if sum(inspected.weights.values()) >= sum(facts.weights.values()):
        return inspected
    # TensorRT for RTX names the types of weights in its log only.
    return dataclasses.replace(inspected, evidence=facts.evidence, weights=facts.weights)
