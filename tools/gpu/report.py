"""The GPU report: what a check on one machine found, as a Markdown page."""

import dataclasses
from collections.abc import Mapping, Sequence

from tools.gpu.results import SINGLE_CALLS, First


@dataclasses.dataclass(frozen=True)
class Reading:
    """The readings of the lines by one model file.

    Attributes:
        name: of the model, such as ``engine fp16``.
        lines: read.
        equal: of them as the float32 ONNX file reads them on the CPU.
        right: of them as they are labelled.
        note: what it is, or why it could not be measured.
        possible: whether this machine could run such a model at all.
    """

    name: str
    lines: int = 0
    equal: int = 0
    right: int = 0
    note: str = ""
    possible: bool = True


@dataclasses.dataclass(frozen=True)
class Timing:
    """Seconds that calls of ``infer`` took, copies included, for one shape of input."""

    name: str
    batch: int
    width: int
    calls: int
    p50: float
    p95: float


@dataclasses.dataclass(frozen=True)
class Report:
    """All that one check found.

    Attributes:
        environment: GPU, driver, versions and commit by name.
        missing: piece that is not here → why, and what it is needed for.
        tests: name of a suite → its last line.
        first: the measurements of the first minutes.
        problems: what could not be made → why.
        lines: what was read, in words.
        readings: one for each model file.
        timings: one for each model file and shape.
    """

    environment: Mapping[str, str]
    missing: Mapping[str, tuple[str, str]] = dataclasses.field(default_factory=dict)
    tests: Mapping[str, str] = dataclasses.field(default_factory=dict)
    first: First | None = None
    problems: Sequence[tuple[str, str]] = ()
    lines: str = "No line was read"
    readings: Sequence[Reading] = ()
    timings: Sequence[Timing] = ()


def say(words: str) -> None:
    """Tell what is done next."""
    print(words, flush=True)  # noqa: T201 - the output of a command, and click may be missing


def to_markdown(report: Report) -> str:
    """The page that `tools.gpu.check` writes; it has no section of which nothing is known."""
    first = report.first or First()
    missing = _table(
        ("what", "why", "it is needed for"),
        [(piece, *reasons) for piece, reasons in report.missing.items()],
    )
    return "\n".join(
        [
            "# GPU report",
            "",
            "Written by `make gpu-check`; every figure was measured in that run. Tests and "
            "measurements that are not named here were not made.",
            "",
            *_table(("", ""), list(report.environment.items())),
            "## Missing",
            "",
            *(missing or ["Nothing is missing.", ""]),
            *_section("Tests", [], _table(("tests", "result"), list(report.tests.items()))),
            *_section(
                "The first minutes",
                ["A float32 engine of `examples/digits.pth`.", ""],
                [*_first(first), *_problems((*report.problems, *first.problems))],
            ),
            *_section(
                "Texts",
                [
                    f"{report.lines}; *equal*: the same text as the float32 ONNX file on the CPU, "
                    "*right*: the same text as the label.",
                    "",
                ],
                _readings(report.readings),
            ),
            *_section(
                "Times",
                ["One call of `infer` from host memory to host memory, in milliseconds.", ""],
                _timings(report.timings),
            ),
        ]
    )


def _section(title: str, words: Sequence[str], lines: Sequence[str]) -> list[str]:
    return [f"## {title}", "", *words, *lines] if lines else []


def _readings(readings: Sequence[Reading]) -> list[str]:
    return _table(
        ("model", "lines", "equal", "right", "note"),
        [
            (r.name, str(r.lines), _share(r.equal, r.lines), _share(r.right, r.lines), r.note)
            for r in readings
        ],
    )


def _timings(timings: Sequence[Timing]) -> list[str]:
    return _table(
        ("model", "batch", "width", "calls", "p50", "p95", "lines/s at p50"),
        [
            (t.name, str(t.batch), str(t.width), str(t.calls), f"{t.p50 * 1e3:.3f}",
             f"{t.p95 * 1e3:.3f}", f"{t.batch / t.p50:,.0f}")
            for t in timings
        ],
    )  # fmt: skip


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.2%}" if whole else "not measured"


def _first(first: First) -> list[str]:
    """The tables of the first minutes."""
    return [
        *_table(
            ("context", "ms to make", "MB of the GPU", "MB of the host"),
            [
                (str(number), f"{cost.seconds * 1e3:.1f}", _mega(cost.device_bytes),
                 _mega(cost.host_bytes))
                for number, cost in enumerate(first.contexts, 1)
            ],
        ),
        *_table(
            ("batch", "width", *(f"call {n}, ms" for n in range(1, SINGLE_CALLS + 1)),
             "p50 of later calls, ms"),
            [
                (str(each.batch), str(each.width), *(f"{s * 1e3:.3f}" for s in each.first),
                 f"{each.later * 1e3:.3f}")
                for each in first.shapes
            ],
        ),
        *_table(
            ("mixed traffic, lines", "seconds", "lines/s", "contexts of each lane"),
            [
                (str(each.lines), f"{each.seconds:.2f}", f"{each.lines / each.seconds:,.0f}",
                 ", ".join(map(str, each.contexts)))
                for each in first.traffic
            ],
        ),
        *([f"Several threads, and the end of their process: {first.threads}.", ""]
          if first.threads else []),
    ]  # fmt: skip


def _problems(problems: Sequence[tuple[str, str]]) -> list[str]:
    return [*(f"- {name}: {words}" for name, words in problems), ""] if problems else []


def _mega(size: int) -> str:
    return f"{size / 1e6:.1f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table and the blank line behind it; nothing without rows."""
    if not rows:
        return []
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return [
        f"| {' | '.join(head)} |",
        f"|{'---|' * len(head)}",
        *(f"| {' | '.join(row)} |" for row in cells),
        "",
    ]
