"""Options for the loss that a run minimises, its steps, and its end."""

import dataclasses
from typing import Annotated, Literal, get_args

from crnn.training.config.option import AT_LEAST_1, COUNT, FREE, PART, POSITIVE, Topic
from crnn_runtime.errors import CrnnError

OptimizerName = Literal["sgd", "adam", "adamw", "rmsprop"]
ScheduleName = Literal["one-cycle", "cosine", "exponential", "constant"]
Precision = Literal["fp32", "bf16", "fp16"]
TeacherLines = Literal["all", "mix", "main", "none"]
Lengthening = Literal["stretch", "constant", "cycle"]

OPTIMIZERS: tuple[OptimizerName, ...] = get_args(OptimizerName)
SCHEDULES: tuple[ScheduleName, ...] = get_args(ScheduleName)
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

INIT = "init"
"""`Optimisation.teacher` that is the weights of `Reader.init`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Optimisation(Topic):
    """Optimiser, learning rate, objective, averaging and length."""

    optimizer: Annotated[OptimizerName, "Optimiser."] = "adamw"
    lr: Annotated[float, "Highest learning rate.", POSITIVE] = 1e-3
    schedule: Annotated[ScheduleName, "Learning-rate schedule."] = "one-cycle"
    warmup: Annotated[float, "Share of the run in which the learning rate rises.", PART] = 0.1
    lr_decay: Annotated[float, "Factor per epoch of the exponential schedule.", POSITIVE] = 0.9
    weight_decay: Annotated[
        float | None,
        "Weight decay of matrices and kernels.  [default: 0.01 for adamw, else 0]",
        COUNT,
    ] = None
    momentum: Annotated[float, "Momentum of sgd and rmsprop.", PART] = 0.9
    align: Annotated[
        float,
        "Share of the run in which synthetic lines also teach where their characters are, "
        "less and less.",
        PART,
    ] = 0.0
    align_first: Annotated[
        float,
        "Share of the run, at its start, that trains without CTC, which is cheap: on the time "
        "steps at the centres of characters and on some blanks. Then --align begins to fade.",
        PART,
    ] = 0.0
    glyph_start: Annotated[
        bool | None,
        "Initialise classes from the glyphs of the fonts: all of them (lite), or those that "
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
        TeacherLines | None,
        "Follow the teacher on all lines, on those of --mix, on the main ones, or on none.  "
        "[default: all; none with --unlabelled]",
    ] = None
    teacher_top: Annotated[
        int,
        "Compare the teacher's N likeliest characters of each step; 0: those of the text.",
        COUNT,
    ] = 0
    blend: Annotated[
        tuple[float, ...],
        "At the end, average the weights of --init and the best ones, with each of these shares "
        "of the best, such as 0.3,0.6; keep those that read the validation lines best.",
        FREE,
    ] = ()
    clip: Annotated[float, "Highest norm of the gradient; 0 is none.", COUNT] = 5.0
    ema: Annotated[
        float, "Decay of the averaged weights that are kept, such as 0.999; 0 is off.", PART
    ] = 0.0
    precision: Annotated[Precision, "Precision of the network; CTC is always float32."] = "fp32"
    batch_size: Annotated[int, "Lines a batch and process.", AT_LEAST_1] = 64
    accumulate: Annotated[int, "Batches a step.", AT_LEAST_1] = 1
    max_epoch: Annotated[int, "Most epochs.", AT_LEAST_1, FREE] = 10
    max_steps: Annotated[int | None, "Stop sooner, after this many steps.", COUNT, FREE] = None
    max_minutes: Annotated[
        float | None,
        "Stop sooner, after this many minutes; the schedule ends then, too.",
        POSITIVE,
        FREE,
    ] = None
    lengthen: Annotated[
        Lengthening,
        "Learning rate of a run that is continued with more epochs, steps or minutes: stretch "
        "the schedule, keep the last rate, or begin a new cycle.",
        FREE,
    ] = "stretch"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.align_first and self.align < self.align_first:
            raise CrnnError(
                f"--align-first {self.align_first} is more than --align {self.align}: make --align "
                "the larger, the places are taught less and less from the one to the other"
            )
        if not all(0 <= share <= 1 for share in self.blend):
            raise CrnnError(f"--blend {','.join(map(str, self.blend))}: give shares from 0 to 1")

    def length(self) -> list[float | None]:
        """The options that decide when the run ends."""
        return [self.max_epoch, self.max_steps, self.max_minutes]
