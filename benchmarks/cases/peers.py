"""The same lines, the same threads, recognition alone: our readers and other people's."""

import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from crnn_benchmarks.cases.accuracy import Read, intervals
from crnn_benchmarks.harness.child import Child, ChildError
from crnn_benchmarks.harness.datasets import Lines
from crnn_benchmarks.harness.models import Subject, describe, model_file
from crnn_benchmarks.harness.schema import Accuracy, Model
from crnn_benchmarks.harness.stats import Interval, mean, ratio
from crnn_benchmarks.harness.timing import Log
from crnn_benchmarks.peers import PEERS, RUNNER, python_of
from crnn_runtime.errors import CrnnError
from crnn_runtime.model.alphabet import Alphabet
from crnn_runtime.recognizer import Recognizer

_TURN = 16
"""Lines that a reader reads before the next one's turn."""


class Contender:
    """A reader in a process of its own; `problem` says why it reads nothing.

    Attributes:
        model: what it is.
        precision: of its weights, empty if unknown.
        alphabet: what it can write, None if unknown.
        problem: see above.
    """

    def __init__(self, name: str, python: str, module: str, options: Mapping[str, object]) -> None:
        self.model = Model(name=name, arch="peer", trained=True)
        self.precision = ""
        self.alphabet: Alphabet | None = None
        self.problem: str | None = None
        self._child: Child | None = None
        try:
            self._child = Child([python, str(RUNNER), module, json.dumps(options)])
        except ChildError as error:
            self.problem = str(error)

    def open(self) -> None:
        """Load the reader; what it says of itself becomes part of its name."""
        if self._child is None:
            return
        try:
            about = self._child.ask("open")["about"]
        except ChildError as error:
            self.problem = str(error)
            return
        if self.model.arch == "peer":
            name = f"{self.model.name} {about['version']}"
            self.model = dataclasses.replace(
                self.model, name=name, arch=about["model"], size=about["size"]
            )

    def read(self, paths: Sequence[str], into: "Readings") -> None:
        """Read a few lines, unless it has failed before."""
        if self._child is None or self.problem is not None:
            return
        try:
            answer = self._child.ask("lines", paths=list(paths))
        except ChildError as error:
            self.problem = str(error)
            return
        into.texts += answer["texts"]
        into.failures += [failure for failure in answer["failures"] if failure]
        into.seconds.append(answer["seconds"])
        into.cpu.append(answer["cpu"])

    def memory(self) -> int:
        """Bytes at most so far."""
        if self._child is None or self.problem is not None:
            return 0
        try:
            return int(self._child.ask("memory")["bytes"])
        except ChildError:
            return 0

    def close(self) -> None:
        """End its process."""
        if self._child is not None:
            self._child.close()


@dataclasses.dataclass
class Readings:
    """One reader's readings of one data set so far."""

    texts: list[str] = dataclasses.field(default_factory=list)
    failures: list[str] = dataclasses.field(default_factory=list)
    seconds: list[list[float]] = dataclasses.field(default_factory=list)
    cpu: list[list[float]] = dataclasses.field(default_factory=list)


def peer_contender(name: str, python: str | None, folder: Path | None, threads: int) -> Contender:
    """A reader of `PEERS`."""
    peer = PEERS[name]
    contender = Contender(
        name, python or python_of(name, folder), peer.module, {"threads": threads}
    )
    contender.open()
    if contender.problem is not None:
        remedy = peer.system or "crnn-bench peers --prepare FOLDER installs it"
        contender.problem = f"{contender.problem} ({remedy})"
    return contender


def own_contender(subject: Subject, threads: int) -> Contender:
    """A reader of this project, by checkpoint, exported file or name."""
    problem, precision, alphabet = None, "", None
    options: dict[str, object] = {"threads": threads}
    model = Model(name=subject.name, arch="unknown", trained=True)
    try:
        assert subject.file is not None
        file = model_file(subject) if subject.is_checkpoint else Path(subject.file)
        with Recognizer(file, threads=1) as recognizer:
            model = describe(subject, file, recognizer.card)
            precision, alphabet = recognizer.card.precision, recognizer.card.alphabet
        options = {"threads": threads, "model": str(file)}
    except CrnnError as error:
        problem = str(error)
    contender = Contender(subject.name, sys.executable, "peer_crnn", options)
    contender.model, contender.precision, contender.problem = model, precision, problem
    contender.alphabet = alphabet
    if problem is None:
        contender.open()
    return contender


def measure_peers(
    contenders: Sequence[Contender], sets: Sequence[Lines], threads: int, log: Log
) -> list[Read]:
    """All readers on all data sets, by turns of a few lines; ends their processes."""
    results = []
    for lines in sets:
        found = [Readings() for _ in contenders]
        for contender in contenders:  # warm: the first line allocates
            contender.read(lines.paths[:1], Readings())
        for start in range(0, len(lines.paths), _TURN):
            for contender, readings in zip(contenders, found, strict=True):
                contender.read(lines.paths[start : start + _TURN], readings)
            log(f"{lines.data.name}: {min(start + _TURN, len(lines.paths))} of {lines.data.lines}")
        results += [
            Read(_row(contender, readings, lines, threads, found[0]), lines, readings.texts)
            for contender, readings in zip(contenders, found, strict=True)
        ]
    for contender in contenders:
        contender.close()
    return results


def _row(
    contender: Contender, readings: Readings, lines: Lines, threads: int, first: Readings
) -> Accuracy:
    row = Accuracy(
        model=contender.model,
        backend="alone",
        precision=contender.precision,
        threads=threads,
        data=lines.data,
        problem=contender.problem,
    )
    if contender.problem is not None or len(readings.texts) != len(lines.texts):
        return row
    return dataclasses.replace(
        row,
        scores=intervals(lines.texts, readings.texts),
        outside=sum(not contender.alphabet.has(text) for text in lines.texts)
        if contender.alphabet
        else 0,
        unread=len(readings.failures),
        seconds=mean(readings.seconds),
        cpu=mean(readings.cpu),
        ratio=_ratio(readings, first),
        memory=contender.memory(),
    )


def _ratio(readings: Readings, first: Readings) -> Interval | None:
    """Processor time over the first reader's, None where that one failed on the way."""
    if readings is first:
        return Interval(1.0)
    return ratio(readings.cpu, first.cpu) if len(first.cpu) == len(readings.cpu) else None
