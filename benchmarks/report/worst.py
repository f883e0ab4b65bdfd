"""The lines that were read worst, shown: what a figure alone never tells."""

import base64
import html
import io
from collections.abc import Sequence

from crnn.metrics import worst
from crnn.training.report.worst import WorstLine, draw_worst
from crnn_benchmarks.cases.accuracy import Read
from crnn_benchmarks.report.html import page
from crnn_runtime.errors import ImageError
from crnn_runtime.picture.load import load_image


def worst_page(results: Sequence[Read], count: int) -> str:
    """A page with up to ``count`` lines of every reader and data set."""
    parts = []
    for read in results:
        if not read.texts or read.row.problem is not None:
            continue
        chosen = worst(read.lines.texts, read.texts, count)
        wrong = sum(a != b for a, b in zip(read.lines.texts, read.texts, strict=True))
        title = f"{read.row.model.name} on {read.row.data}: {wrong} read wrongly"
        drawn = _picture([_line(read, index) for index in chosen]) if chosen else ""
        parts.append(f"<h2>{html.escape(title)}</h2>{drawn}")
    return page("Worst lines: what is written, what was read", "".join(parts))


def _line(read: Read, index: int) -> WorstLine:
    path = read.lines.paths[index]
    try:
        pixels = load_image(path)
    except ImageError:
        pixels = None
    return WorstLine(path, pixels, read.lines.texts[index], read.texts[index])


def _picture(lines: Sequence[WorstLine]) -> str:
    buffer = io.BytesIO()
    draw_worst(lines, "rgb").save(buffer, "PNG")
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<figure><img alt="the worst lines" src="data:image/png;base64,{data}"></figure>'
