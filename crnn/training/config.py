"""Everything a training run follows from."""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from crnn_runtime.errors import CrnnError
from crnn_runtime.model.alphabet import Alphabet
from crnn_runtime.model.card import ModelCard

OptimizerName = Literal["sgd", "adam", "adamw", "rmsprop"]
ScheduleName = Literal["one-cycle", "cosine", "exponential", "constant"]
Precision = Literal["fp32", "bf16", "fp16"]
TeacherLines = Literal["all", "mix", "main"]
Lengthening = Literal["stretch", "constant", "cycle"]

OPTIMIZERS: tuple[OptimizerName, ...] = get_args(OptimizerName)
SCHEDULES: tuple[ScheduleName, ...] = get_args(ScheduleName)
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

INIT = "init"
"""`TrainConfig.teacher` that is the weights of `TrainConfig.init`."""

BUNDLED = {"fonts": "fonts", "words": "words"}
"""`TrainConfig.synth_options` of a run in a bundle: its own folders."""


def parse_share(text: str) -> tuple[str, float]:
    """``DATA=SHARE`` → its parts.

    Raises:
        CrnnError: no such form, or the share is not between 0 and 1.
    """
    name, equals, share = text.rpartition("=")
    try:
        value = float(share)
    except ValueError:
        value = -1.0
    if not equals or not name or not 0 < value < 1:
        raise CrnnError(f"--mix {text}: give DATA=SHARE with a share between 0 and 1")
    return name, value


def parse_shares(texts: Iterable[str | float]) -> tuple[float, ...]:
    """Shares as an option or a recipe gives them, ``0.3,0.6`` or one by one.

    Raises:
        CrnnError: one is no number.
    """
    words = [word for text in texts for word in str(text).split(",")]
    try:
        return tuple(float(word) for word in words)
    except ValueError:
        raise CrnnError(f"--blend {','.join(words)}: give shares from 0 to 1") from None


class Range(NamedTuple):
    """The values that a number may have, and how a message says it."""

    text: str
    holds: Callable[[float], bool]


AT_LEAST_1 = Range("at least 1", lambda value: value >= 1)
COUNT = Range("0 or more", lambda value: value >= 0)
POSITIVE = Range("positive", lambda value: value > 0)
SHARE = Range("in 0..1", lambda value: 0 <= value <= 1)
PART = Range("in 0..1, less than 1", lambda value: 0 <= value < 1)


class _Free:
    """Marks what may change when a run is continued, for it does not shape the loss curve."""


FREE = _Free()


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """A training run; the options of ``crnn-train`` are made from these fields.

    Besides what the fields say: ``alphabet`` is the reader's, ``directory`` takes
    checkpoints and logs, ``synth_options`` are keyword arguments of `Synthesizer`
    such as fonts, ``mix`` pairs a data set (or ``synth:PRESET``) with its share, and
    ``gpu`` is the index of one, None being the CPU.

    Raises:
        CrnnError: a value is out of its range, or two options contradict each other.
    """

    # Data
    dataset_root: Annotated[Path | None, "Folder with train.txt or .tsv, dev.*, images/."] = None
    image_root: Annotated[
        Path | None, "Folder of its pictures, if they are not beside those files.", FREE
    ] = None
    synth: Annotated[str | None, "Preset of synthetic lines, such as digits or latin."] = None
    synth_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    synth_lines: Annotated[int, "Synthetic lines that make an epoch.", AT_LEAST_1] = 20_000
    dev_lines: Annotated[int, "Fresh synthetic lines to validate on.", AT_LEAST_1, FREE] = 1000
    mix: Annotated[
        tuple[tuple[str, float], ...],
        "Draw a share of every epoch from the folder DATA, or from synth:PRESET.",
    ] = ()
    validate_on: Annotated[
        tuple[str, ...], "Read the dev set of the folder DATA, or lines of synth:PRESET, too.", FREE
    ] = ()
    augment: Annotated[float, "Share of real training pictures changed at random.", SHARE] = 0.0
    skip_bad: Annotated[bool, "Leave unusable lines out, listed in the directory."] = False
    overfit: Annotated[int, "Self-test: learn N lines by heart.", COUNT] = 0

    # Reader
    arch: Annotated[str, "Architecture: crnn-train --list shows them.  [default: lite]"]
    alphabet: Alphabet
    height: Annotated[int | None, "Height in pixels of the reader's lines.", AT_LEAST_1] = None
    width: Annotated[int | None, "Stretch every line to this width.", AT_LEAST_1] = None
    keep_ratio: Annotated[bool, "Keep the aspect ratio instead."] = False
    init: Annotated[
        Path | None, "Start from these weights only; classes are matched by character.", FREE
    ] = None
    freeze_backbone: Annotated[int, "Epochs of the classifier alone.", COUNT] = 0

    # Optimisation
    optimizer: Annotated[OptimizerName, "What makes a step of a gradient."] = "adamw"
    lr: Annotated[float, "Highest learning rate.", POSITIVE] = 1e-3
    schedule: Annotated[ScheduleName, "Of the learning rate."] = "one-cycle"
    warmup: Annotated[float, "Share of the run in which the learning rate rises.", PART] = 0.1
    lr_decay: Annotated[float, "Factor per epoch of the exponential schedule.", POSITIVE] = 0.9
    weight_decay: Annotated[
        float | None, "Of matrices and kernels.  [default: 0.01 for adamw, else 0]", COUNT
    ] = None
    momentum: Annotated[float, "Of sgd and rmsprop.", PART] = 0.9
    align: Annotated[
        float,
        "Share of the run in which synthetic lines also teach where their characters are, "
        "less and less.",
        PART,
    ] = 0.0
    align_first: Annotated[
        float,
        "Share of the run, at its start, that looks only at the time steps on which characters "
        "are centred and at some blanks, before --align begins to fade: no CTC yet, and cheap.",
        PART,
    ] = 0.0
    glyph_start: Annotated[
        bool | None,
        "Begin with classes that are what the fonts draw: all of them (lite), or those that "
        "--init lacks.  [default: those that --init lacks]",
    ] = None
    teacher: Annotated[
        str | None,
        "A frozen reader to stay close to: a checkpoint, or init for the weights of --init.",
    ] = None
    teacher_weight: Annotated[
        float, "Weight of the divergence from the teacher beside the loss.", POSITIVE
    ] = 1.0
    teacher_on: Annotated[
        TeacherLines, "Follow the teacher on all lines, on those of --mix, or on the main ones."
    ] = "all"
    teacher_top: Annotated[
        int,
        "Compare the teacher's N likeliest characters of each step; 0: those of the text.",
        COUNT,
    ] = 0
    blend: Annotated[
        tuple[float, ...],
        "At the end, take the weights between those of --init and the best ones: of these shares "
        "of the latter, such as 0.3,0.6, the one that reads the validation lines best.",
        FREE,
    ] = ()
    clip: Annotated[float, "Highest norm of the gradient; 0 is none.", COUNT] = 5.0
    ema: Annotated[
        float, "Decay of the averaged weights that are kept, such as 0.999; 0 is off.", PART
    ] = 0.0
    precision: Annotated[Precision, "Of the network; CTC is float32."] = "fp32"
    batch_size: Annotated[int, "Lines a batch and process.", AT_LEAST_1] = 64
    accumulate: Annotated[int, "Batches a step.", AT_LEAST_1] = 1
    max_epoch: Annotated[int, "Epochs.", AT_LEAST_1, FREE] = 10
    max_steps: Annotated[int | None, "Stop sooner after so many steps.", POSITIVE, FREE] = None
    max_minutes: Annotated[
        float | None,
        "Stop sooner after so many minutes; the schedule ends then, too.",
        POSITIVE,
        FREE,
    ] = None

    lengthen: Annotated[
        Lengthening,
        "Learning rate of a run that goes on with more epochs, steps or minutes: its schedule "
        "stretched, constant at what it was, or in a new cycle.",
        FREE,
    ] = "stretch"

    # Running
    directory: Annotated[
        Path, "For checkpoints and logs.  [default: runs/, named by the options]", FREE
    ]
    resume: Annotated[
        Path | None,
        "Continue this run exactly; the same command goes on by itself. With --test-only any "
        "checkpoint.",
        FREE,
    ] = None
    fresh: Annotated[bool, "Start over in a directory that holds a run.", FREE] = False
    gpu: Annotated[
        int | None, "GPU to train on, -1 the CPU.  [default: 0 if there is one]", FREE
    ] = None
    threads: Annotated[int | None, "CPU threads.  [default: all allowed]", AT_LEAST_1, FREE] = None
    workers: Annotated[
        int, "Processes that load or draw lines.  [default: one per CPU, less one]", COUNT, FREE
    ] = 1
    seed: Annotated[int, "Of weights, order, synthesis and augmentation.", COUNT] = 0
    channels_last: Annotated[bool, "Memory layout of the network."] = True
    compile: Annotated[bool, "Let torch.compile fuse the network."] = False
    validate_interval: Annotated[int, "Epochs between validations.", AT_LEAST_1, FREE] = 1
    validate_steps: Annotated[int, "Steps between further validations; 0 is none.", COUNT, FREE] = 0
    save_interval: Annotated[
        int, "Epochs between numbered checkpoints, beside best.pth and last.pth; 0 is none.",
        COUNT, FREE,
    ] = 0  # fmt: skip
    save_steps: Annotated[
        int, "Steps between saves of last.pth; 0: at epoch ends.", COUNT, FREE
    ] = 0
    print_freq: Annotated[int, "Steps between log lines.", AT_LEAST_1, FREE] = 50
    tensorboard: Annotated[bool, "Write curves and pictures for TensorBoard, too.", FREE] = False

    def __post_init__(self) -> None:
        if self.dataset_root is None and self.synth is None:
            raise CrnnError("nothing to train on: give --dataset-root or --synth")
        if self.width is not None and self.keep_ratio:
            raise CrnnError("--width fixes the width and --keep-ratio keeps the ratio: give one")
        for name, option in declared_options().items():
            value = getattr(self, name)
            if (wanted := wanted_of(value, option.type)) and not isinstance(value, Path | tuple):
                flag = "--" + name.replace("_", "-")
                raise CrnnError(f"{flag} is {value!r}: it must be {wanted}")
            if value is not None and option.accepts and not option.accepts.holds(value):
                flag = "--" + name.replace("_", "-")
                raise CrnnError(f"{flag} is {value}: it must be {option.accepts.text}")
        if self.align_first and self.align < self.align_first:
            raise CrnnError(
                f"--align-first {self.align_first} is more than --align {self.align}: what is "
                "taught fades from the one to the other"
            )
        if self.align_first and self.synth is None:
            raise CrnnError("--align-first learns from synthetic lines alone: give --synth")
        if self.glyph_start and self.synth is None and self.init is None:
            raise CrnnError("--glyph-start from nothing is for synthetic lines: give --synth")
        if self.teacher_on != "all" and not self.mix:
            raise CrnnError(f"--teacher-on {self.teacher_on} tells lines of --mix apart: give one")
        if not all(0 <= share <= 1 for share in self.blend):
            raise CrnnError(f"--blend {','.join(map(str, self.blend))}: give shares from 0 to 1")
        if self.overfit and self.mix:
            raise CrnnError("--overfit trains on a few lines of one data set: leave out --mix")
        if not 0 <= sum(share for _, share in self.mix) < 1:
            raise CrnnError("the shares of --mix must stay below 1 in all")

    def card(self) -> ModelCard:
        """The card of the reader to train."""
        from crnn.model import default_card  # noqa: PLC0415 (torch: not for --help)

        return default_card(self.arch, self.alphabet, **self.size())

    def size(self) -> dict[str, int | None]:
        """The fields of a card that the options for the size of lines change."""
        changes: dict[str, int | None] = {}
        if self.height is not None:
            changes["height"] = self.height
        if self.keep_ratio:
            changes["width"] = None
        elif self.width is not None:
            changes["width"] = self.width
        return changes

    def length(self) -> list[float | None]:
        """What the end of the run follows from."""
        return [self.max_epoch, self.max_steps, self.max_minutes]

    def synth_sources(self) -> dict[str, Any]:
        """The part of `synth_options` that holds for every preset of the run."""
        kept = ("fonts", "split", "corpus", "words", "pictures")
        return {name: self.synth_options[name] for name in kept if name in self.synth_options}

    def fingerprint(self) -> dict[str, Any]:
        """What must be equal for a run to continue: all that shapes the loss curve."""
        plain = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        for name, option in declared_options().items():
            if option.is_free:
                del plain[name]
        plain["alphabet"] = self.alphabet.sha256
        plain["dataset_root"] = None if self.dataset_root is None else str(self.dataset_root)
        plain["synth_options"] = dict(self.synth_options)
        plain["mix"] = [list(part) for part in self.mix]
        if self.teacher not in (None, INIT):
            plain["teacher"] = _hash(Path(self.teacher))  # wherever the file lies
        return plain


def _hash(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise CrnnError(f"--teacher {path}: {error.strerror or error}") from error


class Option(NamedTuple):
    """A field of `TrainConfig` that is an option of ``crnn-train``, too.

    Attributes:
        type: of its value.
        text: its help; a default that depends on other things stands there, too.
        accepts: the numbers it may be.
        is_free: see `FREE`.
    """

    type: Any
    text: str
    accepts: Range | None
    is_free: bool


def plain_type(hint: Any) -> Any:  # noqa: ANN401 (types)
    """``X`` of ``X | None``, and any other type as it is."""
    if isinstance(hint, UnionType):
        (hint,) = (part for part in get_args(hint) if part is not NoneType)
    return hint


def wanted_of(value: Any, hint: Any) -> str:  # noqa: ANN401 (of any type)
    """What an option's value must be, in words; empty if it is.

    Args:
        value: as a recipe or a program gives it; None is any option's.
        hint: the option's type. Paths are texts, and so are the members of tuples.
    """
    kind = plain_type(hint)
    if value is None:
        return ""
    if get_origin(kind) is Literal:
        return "" if value in get_args(kind) else f"one of {', '.join(get_args(kind))}"
    if get_origin(kind) is tuple:
        accepted = str | float | int if get_args(kind)[0] is float else str
        is_list = isinstance(value, list | tuple) and all(isinstance(v, accepted) for v in value)
        return "" if is_list else "a list of texts"
    accepted, words = {
        bool: (bool, "true or false"),
        int: (int, "a whole number"),
        float: (int | float, "a number"),
    }.get(kind, (str, "a text"))
    is_it = isinstance(value, accepted) and (kind is bool or not isinstance(value, bool))
    return "" if is_it else words


@functools.cache
def declared_options() -> dict[str, Option]:
    """The fields of `TrainConfig` that are options, by name."""
    options = {}
    for name, hint in get_type_hints(TrainConfig, include_extras=True).items():
        notes = getattr(hint, "__metadata__", ())
        if notes:
            ranges = [note for note in notes if isinstance(note, Range)]
            accepts = ranges[0] if ranges else None
            options[name] = Option(hint.__origin__, notes[0], accepts, FREE in notes)
    return options
