"""Configurations timed by turns, so that a machine that slows down slows all of them."""

import dataclasses
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from crnn_benchmarks.harness.child import Child, ChildError
from crnn_benchmarks.harness.stats import Interval, median

_MOST_TIMES = 40
_LEAST_ROUNDS = 4

Log = Callable[[str], object]


class Timed(Protocol):
    """Something that can be run so many times in a row.

    Attributes:
        seconds: how long one run takes when warm, to plan by.
        problem: set when a run failed; it is left alone from then on.
    """

    seconds: float
    problem: str | None

    def run(self, times: int) -> None:
        """Run, and keep what was measured as one round.

        Raises:
            ChildError: it failed.
        """
        ...


@dataclasses.dataclass(frozen=True)
class Plan:
    """The number of repetitions.

    Attributes:
        rounds: turns that everything has.
        seconds: for all of it together, roughly.
    """

    rounds: int
    seconds: float


def by_turns(
    cases: Sequence[Timed], plan: Plan, log: Log, between: Callable[[], object] = lambda: None
) -> int:
    """Run all cases in rounds, in another order each, a quick one several times a round.

    A case that fails gets its `Timed.problem`, the others go on.

    Args:
        cases: warm; those with a problem are skipped.
        plan: rounds and time.
        log: told how far it is.
        between: called after every case.

    Returns:
        rounds done: fewer than planned if there is no time for them.
    """
    order = [case for case in cases if case.problem is None]
    if not order:
        return 0
    one_of_each = sum(case.seconds for case in order)
    rounds = min(plan.rounds, max(_LEAST_ROUNDS, int(plan.seconds / max(one_of_each, 1e-9))))
    turn = plan.seconds / rounds / len(order)
    shuffled = random.Random(0)
    started = time.monotonic()
    for number in range(1, rounds + 1):
        shuffled.shuffle(order)
        for case in order:
            if case.problem is None:
                times = max(1, min(_MOST_TIMES, int(turn / max(case.seconds, 1e-9))))
                try:
                    case.run(times)
                except ChildError as error:
                    case.problem = str(error)
                between()
        spent = time.monotonic() - started
        log(f"round {number} of {rounds}, {spent:.0f} s")
        if spent > 2 * plan.seconds and number >= _LEAST_ROUNDS:
            return number  # far slower than when it was warmed up: the machine is busy
    return rounds


def timed_by_turns(
    crew: "Workers", cases: Sequence[Timed], plan: Plan, log: Log
) -> Interval | None:
    """`by_turns`, a yardstick after every case: how fast the machine was just then.

    Returns:
        seconds of the yardstick; None if nothing ran.
    """
    yard: list[list[float]] = []
    by_turns(cases, plan, log, lambda: yard.append([crew.ask("yardstick", "yardstick")["seconds"]]))
    return median(yard) if yard else None


class Workers:
    """A worker process for each backend, started again when it died."""

    def __init__(self, timeout: float = 600) -> None:
        self._timeout = timeout
        self._children: dict[str, Child] = {}
        self._started: dict[str, int] = {}

    def life(self, backend: str) -> int:
        """Changes when the worker of a backend is another process, which knows nothing yet."""
        child = self._children.get(backend)
        return self._started[backend] if child is not None and child.alive else 0

    def ask(self, backend: str, question: str, /, **arguments: Any) -> dict[str, Any]:  # noqa: ANN401
        """Ask the worker of a backend.

        Raises:
            ChildError: it answered with an error or died.
        """
        child = self._children.get(backend)
        if child is None or not child.alive:
            if child is not None:
                child.close()
            child = self._children[backend] = start_worker(self._timeout)
            self._started[backend] = self._started.get(backend, 0) + 1
        return child.ask(question, **arguments)

    def close(self) -> None:
        """End all of them."""
        while self._children:
            self._children.popitem()[1].close()


@contextmanager
def workers(timeout: float = 600) -> Iterator[Workers]:
    """Workers that end with the block."""
    crew = Workers(timeout)
    try:
        yield crew
    finally:
        crew.close()


def start_worker(timeout: float = 600) -> Child:
    """A fresh worker process."""
    return Child([sys.executable, "-m", "crnn_benchmarks.harness.worker"], timeout=timeout)
