"""Training: lines a second of one step for each backbone, by turns."""

import dataclasses
from collections.abc import Callable, Sequence

from crnn_benchmarks.harness.child import ChildError
from crnn_benchmarks.harness.models import Subject, torch_model
from crnn_benchmarks.harness.schema import Model, Training
from crnn_benchmarks.harness.stats import Interval, mean, median
from crnn_benchmarks.harness.timing import Log, Plan, Workers, timed_by_turns, workers

_WORKER = "train"
_CHARACTERS = 10
_WARMUP = 2


def training_step(subject: Subject, batch: int, width: int, precision: str) -> Callable[[], None]:
    """One step on noise: forward, CTC in float32, backward, AdamW, channels last.

    Noise costs what text costs: no layer looks at the values. ``crnn-bench train-loop``
    compares the whole loop of `crnn.training` with such a step.
    """
    import torch  # noqa: PLC0415
    from torch.nn import functional as F  # noqa: PLC0415

    model, card = torch_model(subject)
    model = model.train().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    shape = (batch, card.channels, card.height, width)
    images = torch.randn(shape).contiguous(memory_format=torch.channels_last)
    targets = torch.randint(1, card.num_classes, (batch, _CHARACTERS))
    lengths = torch.full((batch,), _CHARACTERS)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            log_probs = model(images)
        steps = torch.full((batch,), log_probs.shape[1])
        loss = F.ctc_loss(
            log_probs.float().transpose(0, 1), targets, steps, lengths, zero_infinity=True
        )
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


class TrainingCase:
    """A network's step, in the worker of all of them."""

    def __init__(
        self, crew: Workers, subject: Subject, batch: int, width: int, threads: int, precision: str
    ) -> None:
        self.subject = subject
        self.seconds = 0.0
        self.problem: str | None = None
        self._crew = crew
        self._classes = 0
        self._asked = {
            "subject": subject.to_dict(), "batch": batch, "width": width, "threads": threads,
            "precision": precision,
        }  # fmt: skip
        self._shape = (batch, width, threads, precision)
        self._rates: list[list[float]] = []
        self._cpu: list[list[float]] = []

    def open(self) -> None:
        """Build and warm up; sets `problem` if that fails."""
        try:
            answer = self._crew.ask(_WORKER, "train", times=_WARMUP, **self._asked)
        except ChildError as error:
            self.problem = str(error)
            return
        self.seconds, self._classes = min(answer["seconds"]), answer["classes"]

    def run(self, times: int) -> None:
        """See `Timed.run`."""
        answer = self._crew.ask(_WORKER, "train", times=times, **self._asked)
        batch = self._shape[0]
        self._rates.append([batch / seconds for seconds in answer["seconds"]])
        self._cpu.append([answer["cpu"] / batch])

    def row(self) -> Training:
        """Returns the measured row, or the reason why nothing was measured."""
        batch, width, threads, precision = self._shape
        assert self.subject.arch is not None
        row = Training(
            model=Model(
                name=self.subject.name, arch=self.subject.arch, trained=False, classes=self._classes
            ),
            precision=precision,
            batch=batch,
            width=width,
            threads=threads,
            problem=self.problem,
        )
        if self.problem is not None or not self._rates:
            return dataclasses.replace(row, problem=self.problem or "no time was left for it")
        return dataclasses.replace(row, rate=median(self._rates), cpu=mean(self._cpu))


def measure_training(
    subjects: Sequence[Subject],
    plan: Plan,
    log: Log,
    *,
    batch: int,
    width: int,
    threads: int,
    precision: str,
) -> tuple[list[Training], Interval | None]:
    """Time a step of every architecture, by turns.

    Returns:
        the rows and the yardstick.
    """
    with workers() as crew:
        cases = [TrainingCase(crew, s, batch, width, threads, precision) for s in subjects]
        for case in cases:
            case.open()
            log(f"warm: {case.subject.name}")
        yardstick = timed_by_turns(crew, cases, plan, log)
        return [case.row() for case in cases], yardstick
