"""The one format of results: versioned, checked when read, one machine a file.

Figures of different machines meet in `crnn_benchmarks.report.compare` alone, and
`ratio` is the only division of two times: it refuses those of two machines.
"""

import dataclasses
import json
from pathlib import Path
from typing import Self

from crnn_benchmarks.harness.parsing import parse
from crnn_benchmarks.harness.stats import Interval, Quantiles
from crnn_runtime.errors import CrnnError
from crnn_runtime.files import write_atomically

SCHEMA = 1
STAGES = ("load", "preprocess", "infer", "decode")
"""From a picture's file to its text."""

SCORES = {
    f"{score}{ending}"
    for score in ("exact", "cer", "one_minus_ned")
    for ending in ("", "_normalized")
}
"""The figures of an accuracy, as `crnn.metrics.Scores` names them."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Machine:
    """The machine of a measurement.

    Attributes:
        id: the same for two runs on one machine, different elsewhere.
        cpu: its model.
        cpus: processors that the process may use.
        memory: bytes.
        system: kernel and architecture.
        gpus: names.
        load: of the last minute, when the run began.
        load_after: the same at its end.
    """

    id: str
    cpu: str
    cpus: int
    memory: int
    system: str
    gpus: tuple[str, ...] = ()
    load: float = 0.0
    load_after: float = 0.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Peak:
    """The fastest arithmetic that a library showed on this machine, as the roofline's roof.

    Attributes:
        library: ``torch`` or ``onnxruntime``.
        threads: CPU threads.
        flops: floating-point operations a second, the best of matrix product and convolution.
        bandwidth: bytes a second that one thread reads and writes in memory.
    """

    library: str
    threads: int
    flops: float
    bandwidth: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Model:
    """The model that was measured.

    Attributes:
        name: for tables; a file's name or the architecture's.
        arch: key of ``crnn.BACKBONES``, or the peer's own word.
        trained: False for random weights, whose readings mean nothing: latency only.
        classes: of the output, 0 if unknown.
        size: bytes of the file that is read at run time, 0 if there is none.
        sha256: of that file, empty if it is no trained one.
    """

    name: str
    arch: str
    trained: bool
    classes: int = 0
    size: int = 0
    sha256: str = ""

    @property
    def label(self) -> str:
        """The name, with what must never be left out."""
        return self.name if self.trained else f"{self.name} (random weights: latency only)"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured:
    """The fields of every row of a report.

    Attributes:
        model: the reader or network, one of this project or a peer.
        precision: of weights and arithmetic, empty if unknown.
        threads: of the CPU.
        cpu: seconds of processor time: a batch in `Latency`, else a picture or line.
        problem: why there are no figures.
    """

    model: Model
    precision: str
    threads: int
    cpu: Interval | None = None
    problem: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Latency(Measured):
    """One configuration: model × backend × precision × batch × width × threads.

    Attributes:
        backend: key of `crnn_benchmarks.harness.backends.WAYS_TO_RUN`.
        batch: lines at a time.
        width: of the network's input in pixels.
        stages: seconds a batch, one entry for each of `STAGES`; empty if it failed.
        total: all stages.
        flop: floating-point operations a batch, a product and a sum being two.
        traffic: bytes that every layer reads and writes once, a batch.
        memory: bytes, peak of a process that does only this; 0 if not measured.
    """

    backend: str
    batch: int
    width: int
    stages: dict[str, Quantiles] = dataclasses.field(default_factory=dict)
    total: Quantiles | None = None
    flop: float = 0.0
    traffic: float = 0.0
    memory: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Throughput(Measured):
    """Picture files to text, as `crnn_runtime.Recognizer` reads them.

    Attributes:
        backend: key of `crnn_benchmarks.harness.backends.WAYS_TO_RUN`.
        batch: lines inferred together at most.
        data: what was read.
        pictures: how many.
        rate: pictures a second.
    """

    backend: str
    batch: int
    data: str
    pictures: int
    rate: Interval | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataSet:
    """Lines that were read, without which an accuracy means nothing.

    Attributes:
        name: for tables.
        lines: how many were read.
        of: how many there are; more than `lines` if they are a random sample.
        sha256: of pictures and labels read.
    """

    name: str
    lines: int
    of: int
    sha256: str

    def __post_init__(self) -> None:
        if not self.name or self.lines < 1:
            raise CrnnError("an accuracy needs the name of its data set and the number of lines")

    def __str__(self) -> str:
        sampled = f" of {self.of}" if self.of > self.lines else ""
        return f"{self.name}, {self.lines}{sampled} lines"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Accuracy(Measured):
    """A reader on a data set; fractions, with 95 % bootstrap intervals over lines.

    Attributes:
        backend: what ran it.
        data: the lines.
        scores: field of `crnn.metrics.Scores` → figure; empty if it failed.
        batch: of the comparison with batch 1; 0 if it was not made.
        differing: lines that read differently in batches than one by one.
        outside: lines that hold a character which the reader's alphabet lacks.
        unread: lines whose picture it could not read, counted as wrong.
        seconds: of the clock, a line, picture file to text, one at a time.
        ratio: processor time over that of the run's first reader, by turns on the same lines.
        memory: bytes, peak of its process; 0 if not measured.

    Raises:
        CrnnError: an accuracy of random weights.
    """

    backend: str
    data: DataSet
    scores: dict[str, Interval] = dataclasses.field(default_factory=dict)
    batch: int = 0
    differing: int = 0
    outside: int = 0
    unread: int = 0
    seconds: Interval | None = None
    ratio: Interval | None = None
    memory: int = 0

    def __post_init__(self) -> None:
        if self.scores and not self.model.trained:
            raise CrnnError(f"{self.model.name} has random weights: no accuracy can be given")
        if self.scores and self.scores.keys() != SCORES:
            odd = sorted(self.scores.keys() ^ SCORES)[0]
            raise CrnnError(f"scores of {self.model.name}: {odd!r} is missing or unknown")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Training(Measured):
    """A training step: forward, CTC, backward, optimiser.

    Attributes:
        batch: lines a step.
        width: of the lines in pixels.
        rate: lines a second.
    """

    batch: int
    width: int
    rate: Interval | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """Everything one command measured on one machine.

    Attributes:
        command: as typed.
        created: UTC, ISO 8601.
        commit: of this project, ``unknown`` outside a checkout; ``+`` after it
            means changes that are not committed.
        machine: where.
        versions: of Python and the libraries.
        yardstick: seconds of a fixed piece of work, timed throughout the run: how
            fast the machine was just then.
        peaks: what the libraries reach here at best.
        latency: rows.
        throughput: rows.
        accuracy: rows.
        training: rows.
        notes: what a reader must know.
    """

    command: str
    created: str
    commit: str
    machine: Machine
    versions: dict[str, str]
    yardstick: Interval | None = None
    peaks: tuple[Peak, ...] = ()
    latency: tuple[Latency, ...] = ()
    throughput: tuple[Throughput, ...] = ()
    accuracy: tuple[Accuracy, ...] = ()
    training: tuple[Training, ...] = ()
    notes: tuple[str, ...] = ()

    def to_json(self) -> str:
        """JSON that `from_json` reads back to an equal report."""
        content = {"schema": SCHEMA, **dataclasses.asdict(self)}
        return json.dumps(content, ensure_ascii=False, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a report and check every field.

        Raises:
            CrnnError: not JSON, of another schema, or a field is missing, unknown
                or of the wrong kind; the message gives its place.
        """
        try:
            content = json.loads(text)
        except ValueError as error:
            raise CrnnError(f"not JSON: {error}") from error
        if not isinstance(content, dict) or "schema" not in content:
            raise CrnnError("not a report of crnn-bench: no schema number")
        if (found := content.pop("schema")) != SCHEMA:
            raise CrnnError(f"schema {found}, this version reads {SCHEMA}: measure again")
        return parse(cls, content, "report")

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        write_atomically(path, lambda part: part.write_text(self.to_json() + "\n", "utf-8"))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the file.

        Raises:
            CrnnError: it is missing or no report.
        """
        try:
            return cls.from_json(path.read_text("utf-8"))
        except OSError as error:
            raise CrnnError(f"cannot read {path}: {error.strerror}") from error
        except (CrnnError, UnicodeDecodeError) as error:
            raise CrnnError(f"{path}: {error}") from error


def ratio(a: Interval, on: Machine, b: Interval, also_on: Machine) -> float:
    """``a / b``, for figures of one machine alone.

    Raises:
        CrnnError: they were measured on two.
    """
    if on.id != also_on.id:
        raise CrnnError(
            f"no ratio of figures from two machines ({on.cpu}, {on.id} and "
            f"{also_on.cpu}, {also_on.id}): measure both on one"
        )
    return a.value / b.value
