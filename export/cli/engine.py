"""The engine part of ``crnn-export``: what is asked of TensorRT, and what it made."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from numpy.typing import NDArray

from crnn_export.trt import EngineInfo, build_engine
from crnn_export.trt.options import (
    DEFAULT_BATCH,
    built_for,
    check_precision,
    check_profiles,
    check_request,
    default_profiles,
    parse_profiles,
    profile_from_widths,
)
from crnn_runtime.backends.cuda_device import why_no_gpu
from crnn_runtime.model.card import ModelCard
from crnn_runtime.model.detector_card import DetectorCard
from crnn_runtime.model.engine_file import EngineRecord, Flavour, Profile, Range

if TYPE_CHECKING:
    from crnn_export.trt.detector import DetectorInfo


@dataclasses.dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """The command line's words on the engine, checked as far as no model is needed.

    Raises:
        CrnnError: an option is wrong, or contradicts another.
        MissingDependencyError: the TensorRT that is asked for cannot build here.
    """

    flavour: str
    batch: tuple[str, ...]
    profile: tuple[str, ...]
    profile_from: str | None
    target: str
    opt_level: int | None
    timing_cache: Path | None

    def __post_init__(self) -> None:
        self._check()
        parse_profiles(self.profile, self._batches)

    def _check(self) -> tuple[Flavour, tuple[str, ...]]:
        return check_request(self.flavour, self._targets, self.opt_level, self.timing_cache)

    def check_precision(self, precision: str) -> None:
        """Refuse a precision that no engine can have, see `crnn_export.trt.options`.

        Raises:
            CrnnError: it is refused.
        """
        flavour, targets = self._check()
        check_precision(flavour, built_for(flavour, targets), precision)

    def profiles_for(self, card: ModelCard, lines: Sequence[NDArray[np.uint8]]) -> list[Profile]:
        """The profiles to build for a model.

        Args:
            card: of the model.
            lines: (H, w, C) of ``--profile-from``; empty where that was not given.

        Raises:
            CrnnError: the model cannot use one of them.
        """
        batches = self._batches or [DEFAULT_BATCH]
        if lines:
            widths = [line.shape[1] for line in lines]
            wanted = [profile_from_widths(widths, card, batch) for batch in batches]
        else:
            given = parse_profiles(self.profile, self._batches)
            wanted = given or list(default_profiles(card, batches))
        check_profiles(wanted, card)
        return wanted

    def build(self, source: Path, target: Path, profiles: list[Profile]) -> EngineInfo:
        """Build with a progress bar, see `crnn_export.trt.build_engine`."""
        with click.progressbar(length=1000, label="Building") as bar:
            shown = 0

            def report(_: str, share: float) -> None:
                nonlocal shown
                bar.update(int(share * 1000) - shown)
                shown = int(share * 1000)

            return build_engine(
                source,
                target,
                flavour=self.flavour,
                profiles=profiles,
                targets=self._targets,
                opt_level=self.opt_level,
                timing_cache=self.timing_cache,
                progress=report,
            )

    @property
    def _targets(self) -> list[str]:
        return [target.strip() for target in self.target.split(",") if target.strip()]

    @property
    def _batches(self) -> list[Range]:
        return [Range.parse(text) for text in self.batch]

    def build_detector(self, source: Path, target: Path, side: int | None) -> "DetectorInfo":
        """Build a text detector's engine; options for batches and widths have no use there.

        Raises:
            click.UsageError: one was given.
        """
        from crnn_export.trt.detector import build_detector  # noqa: PLC0415
        from crnn_runtime.page.detect import SIDE  # noqa: PLC0415

        if self.batch or self.profile or self.profile_from:
            raise click.UsageError(
                "--batch, --profile and --profile-from are for readers of lines: a detector's "
                "engine has one canvas, --side"
            )
        return build_detector(
            source, target, side=side or SIDE, flavour=self.flavour, opt_level=self.opt_level,
            targets=tuple(self._targets), timing_cache=self.timing_cache,
        )  # fmt: skip


_RTX_INT8 = (
    "TensorRT for RTX documents int8 for weights of matrix products only: compare its speed "
    "with --precision fp16, which is recommended"
)


def describe_engine(info: "EngineInfo | DetectorInfo") -> str:
    """Describes a built engine in a few lines."""
    record = info.record
    profiles = "; ".join(map(str, record.profiles))
    memory = f", {record.activation_bytes / 1e6:.0f} MB for the largest activations"
    return (
        f"Wrote {info.path} ({record.size / 1e6:.1f} MB) and {info.sidecar.name} in "
        f"{info.seconds:.1f} s\n"
        f"  built with {record.built_with} for {', '.join(record.targets) or 'its default GPUs'}\n"
        f"  {_precision(record)}"
        f"{memory if record.activation_bytes else ''}\n"
        f"  profiles: {profiles}\n"
        f"  {_verified(record.verified, info.card)}"
        + (f"\n  {_RTX_INT8}" if (record.flavour, info.card.precision) == ("rtx", "int8") else "")
    )


def _precision(record: EngineRecord) -> str:
    """Says what was read back of the weights; nothing is claimed of those that were not found."""
    weights = ", ".join(f"{count:,} {kind}" for kind, count in record.weights.items())
    if record.evidence == "none":
        return "precision unknown: TensorRT lists no weights"
    if record.evidence == "partial":
        return f"precision unknown: TensorRT lists less than half of the weights ({weights})"
    return f"precision {record.precision}, read back from the {record.evidence} ({weights} weights)"


def _verified(found: Mapping[str, Any], card: ModelCard | DetectorCard) -> str:
    """Says how the engine ran, or why it did not."""
    unit = "pixels" if isinstance(card, DetectorCard) else "time steps"
    if "equal" in found:
        return (
            f"run on this GPU in {found['shapes']} shapes: {found['equal']:.2%} of "
            f"{found['steps']} {unit} as {found['reference']} reads them"
        )
    if "reason" in found:
        return f"not run: {found['reason']}"
    return f"not run, because no GPU can be used here ({why_no_gpu()}): run it where it will read"
