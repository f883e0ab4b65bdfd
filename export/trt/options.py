"""The choices of a build: which TensorRT, which GPUs, which shapes."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from crnn_export.trt.readback import PRECISION_TYPES
from crnn_runtime.backends.cuda_device import capability, device_count, why_no_gpu
from crnn_runtime.backends.tensorrt.library import is_installed
from crnn_runtime.errors import CrnnError, MissingDependencyError, install_command
from crnn_runtime.model.card import ModelCard
from crnn_runtime.model.engine_file import FLAVOURS, RTX_TARGETS, Flavour, Profile, Range
from crnn_runtime.picture.preprocess import width_bucket

DEFAULT_BATCH = Range(1, 8, 64)
DEFAULT_WIDTH = Range(32, 320, 2048)


def check_request(
    flavour: str, targets: Iterable[str], opt_level: int | None, timing_cache: Path | None
) -> tuple[Flavour, tuple[str, ...]]:
    """Refuse what no model is needed to refuse; returns flavour and targets.

    Raises:
        CrnnError: the options are wrong or contradict each other.
        MissingDependencyError: the library or the GPU that it needs is missing.
    """
    wanted = normalise_targets(targets)
    if opt_level is not None and not 0 <= opt_level <= 5:
        raise CrnnError(f"optimisation level {opt_level} is outside 0..5")
    chosen = choose_flavour(flavour, wanted)
    if timing_cache is None:
        return chosen, wanted
    if chosen == "rtx":
        raise CrnnError(
            f"timing cache {timing_cache}: TensorRT for RTX measures nothing while it builds, "
            "leave the cache out (or build with flavour tensorrt, on the GPU)"
        )
    if timing_cache.is_dir() or not timing_cache.parent.is_dir():
        raise CrnnError(f"timing cache {timing_cache} is not a file in a folder that is there")
    return chosen, wanted


def choose_flavour(flavour: str, targets: Sequence[str] = ()) -> Flavour:
    """The TensorRT that can build here.

    ``auto`` takes TensorRT where it is installed with a GPU, because it serves
    every NVIDIA GPU, and else TensorRT for RTX, which needs no GPU to build.

    Raises:
        CrnnError: no such flavour, or targets for one that builds for the GPU here only.
        MissingDependencyError: the library or the GPU that it needs is missing.
    """
    if flavour not in ("auto", *FLAVOURS):
        raise CrnnError(f"flavour {flavour!r} is not one of auto, {', '.join(FLAVOURS)}")
    if flavour == "tensorrt" and targets:
        raise CrnnError(
            f"targets {', '.join(targets)}: TensorRT builds for the GPU of this machine only, "
            "use flavour rtx to build ahead of time"
        )
    if flavour == "rtx" or (flavour == "auto" and targets):
        return _need("rtx")
    if flavour == "tensorrt":
        _need("tensorrt")
        if device_count() == 0:
            raise MissingDependencyError(
                f"TensorRT builds engines on an NVIDIA GPU and none can be used here "
                f"({why_no_gpu()}): run it on the machine that will read, or use flavour rtx"
            )
        return "tensorrt"
    if is_installed("tensorrt") and device_count() > 0:
        return "tensorrt"
    if is_installed("rtx"):
        return "rtx"
    if is_installed("tensorrt"):
        return choose_flavour("tensorrt")  # which says what is wrong with the GPU
    raise MissingDependencyError(
        f"no TensorRT is installed: {install_command('tensorrt')} for data-centre and Jetson GPUs, "
        f"or {install_command('rtx')} for GeForce and RTX GPUs and for building without a GPU"
    )


def normalise_targets(targets: Iterable[str]) -> tuple[str, ...]:
    """``sm_89``, ``SM89``, ``8.9`` or ``89`` → ``sm_89``, each once, in TensorRT's order.

    Raises:
        CrnnError: not a GPU that TensorRT for RTX builds for.
    """
    wanted = set()
    for target in targets:
        name = "sm_" + target.lower().removeprefix("sm").removeprefix("_").replace(".", "")
        if name not in RTX_TARGETS:
            raise CrnnError(
                f"target {target!r} is not one that TensorRT for RTX builds for: "
                f"{', '.join(RTX_TARGETS)}; other GPUs are served by TensorRT, on the GPU itself"
            )
        wanted.add(name)
    return tuple(target for target in RTX_TARGETS if target in wanted)


def builds_for_this_gpu(flavour: Flavour, targets: Sequence[str]) -> bool:
    """Whether TensorRT for RTX is to build for the GPU of this machine alone.

    Without targets, where there is one that it serves: an engine that is built without a
    GPU can be slower (its release notes of 1.6, "Known issues").
    """
    if flavour != "rtx" or targets or device_count() == 0:
        return False
    return f"sm_{capability(0)}" in RTX_TARGETS


def built_for(flavour: Flavour, targets: Sequence[str]) -> tuple[str, ...]:
    """The targets, or the GPU of this machine where TensorRT for RTX is to build for it."""
    return (f"sm_{capability(0)}",) if builds_for_this_gpu(flavour, targets) else tuple(targets)


def not_for_this_gpu(flavour: Flavour, targets: Sequence[str]) -> str:
    """Says why an engine for these targets cannot run on the GPU here; empty if it may.

    TensorRT for RTX may build where it cannot run, for other machines.
    """
    here = f"sm_{capability(0)}"
    served = tuple(targets) or (RTX_TARGETS if flavour == "rtx" else ())
    if not served or here in served:
        return ""
    return f"it is built for {', '.join(served)}, this GPU is {here}"


def check_precision(flavour: Flavour, targets: Sequence[str], precision: str) -> None:
    """Refuse a graph's precision that no engine can have.

    Args:
        flavour: that is to build.
        targets: GPUs to build for, see `built_for`.
        precision: of the model card.

    Raises:
        CrnnError: it is for CPUs, or TensorRT for RTX has no such products on a target.
    """
    if precision not in PRECISION_TYPES:
        raise CrnnError(
            f"a graph in {precision} is for CPUs: make an engine of one in "
            f"{', '.join(PRECISION_TYPES)}"
        )
    if flavour == "rtx" and "sm_75" in targets and precision in ("fp32", "bf16"):
        raise CrnnError(
            f"TensorRT for RTX multiplies no matrices in {precision} on sm_75: "
            "convert the graph with --precision fp16"
            + (", or leave that target out" if len(targets) > 1 else "")
        )


def check_profiles(profiles: Sequence[Profile], card: ModelCard) -> None:
    """Refuse profiles that a reader with this card cannot use.

    Raises:
        CrnnError: none is given, one is given twice, or one reaches beyond the widest
            line, which the model would never be given.
    """
    if not profiles:
        raise CrnnError("no profile: give at least one range of batches and widths")
    if len(set(profiles)) != len(profiles):
        raise CrnnError(f"a profile is given twice: {'; '.join(map(str, profiles))}")
    limit = width_bucket(card.max_width)
    for profile in profiles:
        if profile.width.max > limit:
            raise CrnnError(
                f"profile {profile} reaches beyond the widest line of the model, "
                f"{card.max_width} pixels: end it at {limit} at most"
            )
        if card.width is not None and card.width not in profile.width:
            raise CrnnError(
                f"profile {profile} leaves out the model's fixed width, {card.width} pixels"
            )


def default_profiles(
    card: ModelCard, batches: Sequence[Range] = (DEFAULT_BATCH,)
) -> tuple[Profile, ...]:
    """For each range of batches one profile over all widths that a reader meets.

    A maximum does not cost memory at run time: the runtime sizes the activations to
    each call. A build on a GPU times its kernels at the optimum.
    """
    if card.width is not None:
        widths = Range(card.width, card.width, card.width)
    else:
        most = min(DEFAULT_WIDTH.max, width_bucket(card.max_width))
        widths = Range(min(DEFAULT_WIDTH.min, most), min(DEFAULT_WIDTH.opt, most), most)
    return tuple(Profile(batch, widths) for batch in batches)


def parse_profiles(texts: Sequence[str], batches: Sequence[Range] = ()) -> list[Profile]:
    """``WIDTH`` makes a profile with every range of ``batches``, ``BATCHxWIDTH`` one with its own.

    Each is ``MIN:OPT:MAX`` or a single number: ``32:320:1024``, ``1:1:8x1024:1536:2048``.

    Raises:
        CrnnError: it cannot be read, or ``batches`` are given that no profile uses.
    """
    profiles = []
    for text in texts:
        batch, separator, width = text.rpartition("x")
        own = (Range.parse(batch),) if separator else batches or (DEFAULT_BATCH,)
        profiles += [Profile(each, Range.parse(width)) for each in own]
    if batches and texts and all("x" in text for text in texts):
        raise CrnnError(
            f"batches {', '.join(map(str, batches))} are not used: "
            "every profile names its own, as BATCHxWIDTH"
        )
    return profiles


def widest_line(profiles: Sequence[Profile]) -> int:
    """Widest line in pixels whose bucket one of the profiles serves.

    Raises:
        CrnnError: every profile is narrower than the narrowest bucket.
    """
    limit = max(profile.width.max for profile in profiles)
    for width in range(limit, 0, -1):
        if width_bucket(width) <= limit:
            return width
    raise CrnnError(f"no line fits profiles up to {limit} pixels wide: allow {width_bucket(1)}")


def profile_from_widths(widths: Sequence[int], card: ModelCard, batch: Range) -> Profile:
    """The profile for lines of given widths, from percentiles.

    The optimum is the bucket of the median line, the maximum the bucket of the
    widest: a line beyond the profile could not be read whole.

    Args:
        widths: in pixels at the model's height.
        card: of the model; a fixed width wins.
        batch: range of batches.

    Raises:
        CrnnError: no width is given.
    """
    if len(widths) == 0:
        raise CrnnError("no line to take the profile's widths from")
    if card.width is not None:
        return Profile(batch, Range(card.width, card.width, card.width))
    clipped = np.minimum(np.asarray(widths), card.max_width)
    least, median, most = np.percentile(clipped, (0, 50, 100), method="nearest")
    return Profile(batch, Range(*(width_bucket(int(width)) for width in (least, median, most))))


def _need(flavour: Flavour) -> Flavour:
    if not is_installed(flavour):
        raise MissingDependencyError.of_extra(
            {"tensorrt": "TensorRT", "rtx": "TensorRT for RTX"}[flavour], flavour
        )
    return flavour
