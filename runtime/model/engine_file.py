"""A TensorRT engine on disk: the plain plan, and beside it the sidecar that says what it is.

The plan stays as TensorRT wrote it, so that ``trtexec`` and Triton load it. The
sidecar ``<engine>.json`` is the model card with one more object, ``engine``; that of a
text detector has its card as the object ``detector``. All
that is here works without TensorRT and without a GPU.
"""

import dataclasses
import hashlib
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self, get_args

from crnn_runtime.errors import CrnnError, ModelError
from crnn_runtime.model.card import ModelCard
from crnn_runtime.model.detector_card import DetectorCard

Flavour = Literal["tensorrt", "rtx"]
FLAVOURS: tuple[Flavour, ...] = get_args(Flavour)
FLAVOUR_NAMES: Mapping[str, str] = {"tensorrt": "TensorRT", "rtx": "TensorRT for RTX"}

RTX_TARGETS: tuple[str, ...] = ("sm_75", "sm_80", "sm_86", "sm_89", "sm_120", "sm_121")
"""GPUs that TensorRT for RTX names, in the order of their bits in a plan's header."""

_MAGIC: Mapping[bytes, Flavour] = {b"ftrt": "tensorrt", b"vtrt": "rtx"}
_DETECTOR = "detector"
_HEADER_BYTES = 64
_LEAST_DEFAULT_CAPABILITY = 80  # of an engine of TensorRT for RTX built without targets


@dataclasses.dataclass(frozen=True)
class Range:
    """Sizes that a dimension may have (``min``..``max``), and the one it is tuned for (``opt``)."""

    min: int
    opt: int
    max: int

    def __post_init__(self) -> None:
        if not 1 <= self.min <= self.opt <= self.max:
            raise CrnnError(f"range {self} contradicts itself: need 1 <= MIN <= OPT <= MAX")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``MIN:OPT:MAX``, or one number for all three.

        Raises:
            CrnnError: not whole numbers in rising order.
        """
        try:
            values = [int(part) for part in text.split(":")]
        except ValueError:
            values = []
        if len(values) not in (1, 3):
            raise CrnnError(f"range {text!r} is not MIN:OPT:MAX, such as 1:8:64")
        return cls(*values) if len(values) == 3 else cls(*values * 3)

    def __contains__(self, value: int) -> bool:
        return self.min <= value <= self.max

    def __str__(self) -> str:
        return f"{self.min}:{self.opt}:{self.max}"


@dataclasses.dataclass(frozen=True)
class Profile:
    """The batches (lines) and widths (pixels) that one optimisation profile serves."""

    batch: Range
    width: Range

    def __str__(self) -> str:
        return f"batch {self.batch}, width {self.width}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class EngineRecord:
    """Everything that the sidecar says of an engine beyond the model card.

    Attributes:
        flavour: the library that built it and must run it.
        version: of that library, e.g. ``11.4.0.106``.
        targets: GPUs it was built for, as ``sm_86``; empty when the builder's
            default was left (TensorRT for RTX: compute capability 8.0 and later).
        gpu: name of the GPU it was built on; empty when built without one.
        precision: read back from the built engine; ``unknown`` when this was not possible.
        evidence: where ``precision`` was read: ``inspector`` or ``build log``, ``partial``
            where less than half of the weights were found there, or ``none``.
        weights: elements of the built engine's weights by type.
        profiles: in the order of their index in the engine.
        activation_bytes: device memory that the largest shapes need; 0 when not known.
        size: of the engine file in bytes.
        sha256: of the engine file.
        onnx_sha256: of the ONNX file that it was built from.
        options: of the build: optimisation level and the like.
        verified: how it compared with the ONNX file when it was run after the build; a
            ``reason`` where it could not be compared, empty where it was not run.
    """

    flavour: Flavour
    version: str
    targets: tuple[str, ...] = ()
    gpu: str = ""
    precision: str = "unknown"
    evidence: str = "none"
    weights: Mapping[str, int] = dataclasses.field(default_factory=dict)
    profiles: tuple[Profile, ...]
    activation_bytes: int = 0
    size: int
    sha256: str
    onnx_sha256: str
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    verified: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def built_with(self) -> str:
        """Library and version, for messages."""
        return f"{FLAVOUR_NAMES[self.flavour]} {self.version}"

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        """Read what `dataclasses.asdict` made, after a trip through JSON.

        Raises:
            CrnnError: a field is missing, unknown or wrong.
        """
        try:
            profiles = tuple(
                Profile(Range(**profile["batch"]), Range(**profile["width"]))
                for profile in fields["profiles"]
            )
            targets = tuple(fields["targets"])
            record = cls(**{**fields, "profiles": profiles, "targets": targets})
        except (KeyError, TypeError) as error:
            raise CrnnError(f"engine record: {error}") from error
        if record.flavour not in FLAVOURS:
            raise CrnnError(f"engine record: unknown flavour {record.flavour!r}")
        return record


@dataclasses.dataclass(frozen=True)
class PlanHeader:
    """The fields in the first bytes of a plan; None where the layout is not known."""

    flavour: Flavour
    version: str | None
    size: int | None
    targets: int | None
    """Bit mask over `RTX_TARGETS` and what may come after them."""


def sidecar_path(engine: Path) -> Path:
    """``x.trt`` → ``x.trt.json``."""
    return engine.with_name(engine.name + ".json")


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def parse_header(data: bytes) -> PlanHeader | None:
    """The header of a plan, from its first 64 bytes or more; None when it is not a plan."""
    flavour = _MAGIC.get(data[:4])
    if flavour is None or len(data) < _HEADER_BYTES:
        return None
    if flavour == "tensorrt":  # the rest of its header is not documented
        return PlanHeader(flavour, None, None, None)
    version = ".".join(str(byte) for byte in data[24:28])
    size, targets = struct.unpack_from("<Q8xQ", data, 16)
    return PlanHeader(flavour, version, size, targets)


def mask_of(targets: tuple[str, ...]) -> int:
    """The header's bits for some of `RTX_TARGETS`."""
    return sum(1 << RTX_TARGETS.index(target) for target in targets)


def targets_of(mask: int) -> tuple[str, ...]:
    """The `RTX_TARGETS` among a header's bits."""
    return tuple(target for bit, target in enumerate(RTX_TARGETS) if mask >> bit & 1)


def sidecar_text(card: ModelCard | DetectorCard, record: EngineRecord) -> str:
    """The sidecar's content, sealed with a hash over all of it."""
    content = json.loads(card.to_json())
    if isinstance(card, DetectorCard):
        content = {_DETECTOR: content}
    content["engine"] = dataclasses.asdict(record)
    content["seal"] = _seal(content)
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def read_engine(path: Path) -> tuple[ModelCard, EngineRecord]:
    """Read a line reader's sidecar and check that it belongs to this very file.

    Raises:
        ModelError: one of the two is missing, truncated, edited or foreign; the
            message names both sides. Or it is a detector's.
    """
    content, record = _read_pair(path)
    if _DETECTOR in content:
        raise ModelError(f"{path} is a text detector, not a reader of lines: give a reader here")
    try:
        return ModelCard.from_json(json.dumps(content)), record
    except CrnnError as error:
        raise ModelError(f"{sidecar_path(path)}: {error}") from error


def read_detector_engine(path: Path) -> tuple[DetectorCard, EngineRecord]:
    """The same of a text detector.

    Raises:
        ModelError: see `read_engine`; or it is a reader's.
    """
    content, record = _read_pair(path)
    if _DETECTOR not in content:
        raise ModelError(
            f"{path}: it is a reader of lines, not a text detector: give it as the reader"
        )
    try:
        return DetectorCard.from_json(json.dumps(content[_DETECTOR])), record
    except CrnnError as error:
        raise ModelError(f"{sidecar_path(path)}: {error}") from error


def _read_pair(path: Path) -> tuple[dict[str, Any], EngineRecord]:
    """Returns the sidecar's description of the model and its record of the engine."""
    side = sidecar_path(path)
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            header = parse_header(file.read(_HEADER_BYTES))
    except OSError as error:
        raise ModelError(f"cannot read engine {path}: {error.strerror}") from error
    if header is None:
        raise ModelError(f"{path} is not a TensorRT engine: make one with crnn-export --to trt")
    if header.size is not None and header.size != size:
        raise ModelError(
            f"engine {path} is {size} bytes but its header says {header.size}: "
            "it is truncated or was added to; copy it again"
        )
    content, record = _read_sidecar(side, path)
    _check_pair(path, size, header, record)
    return content, record


def check_runs_here(path: Path, record: EngineRecord, version: str, capability: int) -> None:
    """Refuse an engine of another release or for another GPU before TensorRT is asked.

    Args:
        path: of the engine, for the message.
        record: from `read_engine`.
        version: of the library of ``record.flavour`` that is installed.
        capability: of the GPU that is to run it, 86 for 8.6.

    Raises:
        ModelError: it does not run here; the message names both sides.
    """
    # A plan is bound to the release; the fourth number counts builds of one release.
    if version.split(".")[:3] != record.version.split(".")[:3]:
        raise ModelError(
            f"engine {path} was built with {record.built_with}, installed is {version}: "
            f"build it again from the ONNX file, or install {record.version}"
        )
    here = f"sm_{capability}"
    # TensorRT for RTX without targets; whether a newer GPU is served, TensorRT knows.
    too_old = not record.targets and capability < _LEAST_DEFAULT_CAPABILITY
    if too_old or (record.targets and here not in record.targets):
        served = ", ".join(record.targets) or f"sm_{_LEAST_DEFAULT_CAPABILITY} and later"
        raise ModelError(
            f"engine {path} was built for {served}, this GPU is {here}: "
            "build it again from the ONNX file for this GPU"
        )


def _read_sidecar(side: Path, path: Path) -> tuple[dict[str, Any], EngineRecord]:
    try:
        content = json.loads(side.read_text("utf-8"))
    except FileNotFoundError as error:
        raise ModelError(
            f"{side.name} is not beside engine {path}: copy both files together"
        ) from error
    except OSError as error:
        raise ModelError(f"cannot read {side}: {error.strerror}") from error
    except ValueError as error:
        raise ModelError(f"{side} is not JSON: {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("engine"), dict):
        raise ModelError(f"{side} does not describe an engine")
    if content.pop("seal", None) != _seal(content):
        raise ModelError(f"{side} has been edited since it was written: export again")
    fields = content.pop("engine")
    try:
        return content, EngineRecord.from_fields(fields)
    except CrnnError as error:
        raise ModelError(f"{side}: {error}") from error


def _check_pair(path: Path, size: int, header: PlanHeader, record: EngineRecord) -> None:
    """The file is the one that the sidecar describes, cheapest check first."""
    if record.flavour != header.flavour:
        raise ModelError(
            f"engine {path} is a plan of {FLAVOUR_NAMES[header.flavour]}, "
            f"its sidecar describes one of {FLAVOUR_NAMES[record.flavour]}"
        )
    if header.version is not None and record.version != header.version:
        raise ModelError(
            f"engine {path} was built with version {header.version}, "
            f"its sidecar says {record.version}"
        )
    if header.targets is not None and record.targets:
        built_for = targets_of(header.targets)
        if built_for != record.targets:
            raise ModelError(
                f"engine {path} was built for {', '.join(built_for)}, "
                f"its sidecar says {', '.join(record.targets)}"
            )
    if record.size != size:
        raise ModelError(
            f"engine {path} is {size} bytes, its sidecar describes one of {record.size}: "
            "it is truncated, or the sidecar belongs to another engine"
        )
    if (actual := sha256_of(path)) != record.sha256:
        raise ModelError(
            f"engine {path} has SHA-256 {actual[:12]}…, its sidecar describes "
            f"{record.sha256[:12]}…: one of the two belongs to another engine"
        )


def _seal(content: Mapping[str, Any]) -> str:
    canonical = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()
