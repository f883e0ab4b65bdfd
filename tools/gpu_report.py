"""The GPU report: what a check on one machine found, as a Markdown page."""

import dataclasses
from collections.abc import Mapping, Sequence


@dataclasses.dataclass(frozen=True)
class Reading:
    """How one model file reads the lines.

    Attributes:
        name: of the model, such as ``engine fp16``.
        lines: read.
        equal: of them as the float32 ONNX file reads them on the CPU.
        right: of them as they are labelled.
        note: what it is, or why it could not be measured.
    """

    name: str
    lines: int = 0
    equal: int = 0
    right: int = 0
    note: str = ""


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
        tests: markers of a test run → its last line.
        lines: what was read, in words.
        readings: one for each model file.
        timings: one for each model file and shape.
    """

    environment: Mapping[str, str]
    tests: Mapping[str, str] = dataclasses.field(default_factory=dict)
    lines: str = "No line was read"
    readings: Sequence[Reading] = ()
    timings: Sequence[Timing] = ()


def to_markdown(report: Report) -> str:
    """The page that `tools.gpu_check` writes."""
    return "\n".join(
        [
            "# GPU report",
            "",
            "Written by `make gpu-check`; every figure was measured in that run.",
            "",
            *_table(("", ""), [(name, value) for name, value in report.environment.items()]),
            "",
            "## Tests",
            "",
            *_table(
                ("tests marked", "result"),
                [(f"`{markers}`", said) for markers, said in report.tests.items()],
            ),
            "",
            "## Texts",
            "",
            f"{report.lines}; *equal*: the same text as the float32 ONNX file on the CPU, "
            "*right*: the same text as the label.",
            "",
            *_table(
                ("model", "lines", "equal", "right", "note"),
                [
                    (r.name, str(r.lines), _share(r.equal, r.lines), _share(r.right, r.lines),
                     r.note)
                    for r in report.readings
                ],
            ),
            "",
            "## Times",
            "",
            "One call of `infer` from host memory to host memory, in milliseconds.",
            "",
            *_table(
                ("model", "batch", "width", "calls", "p50", "p95", "lines/s at p50"),
                [
                    (t.name, str(t.batch), str(t.width), str(t.calls), f"{t.p50 * 1e3:.3f}",
                     f"{t.p95 * 1e3:.3f}", f"{t.batch / t.p50:,.0f}")
                    for t in report.timings
                ],
            ),
            "",
        ]
    )  # fmt: skip


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.2%}" if whole else "not measured"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    if not rows:
        return ["Nothing was measured."]
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return [
        f"| {' | '.join(head)} |",
        f"|{'---|' * len(head)}",
        *(f"| {' | '.join(row)} |" for row in cells),
    ]
