"""A report as one HTML file that needs nothing else: no network, no script."""

import html
import re
from collections.abc import Iterable, Sequence

from crnn_benchmarks.harness.schema import Report
from crnn_benchmarks.report.drawing import Plot
from crnn_benchmarks.report.markdown import facts
from crnn_benchmarks.report.palette import DARK, INK, MARKED, MUTED, ON_DARK, PAPER, RULE, WASH
from crnn_benchmarks.report.plots import plots
from crnn_benchmarks.report.summary import summary, title
from crnn_benchmarks.report.tables import RANDOM_WEIGHTS, Table, tables

_VARIABLES = {
    "ink": INK, "paper": PAPER, "muted": MUTED, "rule": RULE, "wash": WASH, "marked": MARKED,
}  # fmt: skip
_STYLE = """
body { font: 16px/1.55 system-ui, "DejaVu Sans", sans-serif; margin: 2rem auto; max-width: 72rem;
  padding: 0 1rem; color: var(--ink); background: var(--paper); overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; } h2 { font-size: 1.2rem; margin-top: 2.4rem; }
.summary { font-size: 1.1rem; max-width: 48rem; }
code { background: var(--wash); padding: .1em .3em; border-radius: 3px; }
figure { margin: 1rem 0; max-width: 42rem; } figure svg { width: 100%; height: auto; }
figcaption, .note, .facts { color: var(--muted); font-size: .9rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .45rem; text-align: left; border-bottom: 1px solid var(--rule);
  vertical-align: top; }
td, small { white-space: nowrap; }
th { overflow-wrap: normal; } td.name { white-space: normal; min-width: 9rem; }
td.long { white-space: normal; min-width: 16rem; }
th { border-bottom: 2px solid var(--muted); } .moved td { background: var(--marked); }
img { max-width: 100%; }
@media (max-width: 60rem) {
  table, tbody, tr { display: block; } td { display: flow-root; } thead { display: none; }
  tr { border-top: 2px solid var(--muted); margin-top: 1rem; }
  td, td.name, td.long { white-space: normal; min-width: 0; text-align: right; }
  td::before { content: attr(data-head); float: left; padding-right: 1rem; color: var(--muted); }
  td br { display: none; }
}
"""
"""In a narrow window every row of a table is a block of its own, a line for each cell."""
_INTERVAL = re.compile(r"[-\d.]+ \[[^]]*\]")
_WIDE = ((60, "long"), (18, "name"))
"""Characters from which on a cell's text may be broken."""


def to_html(report: Report) -> str:
    """The whole report: what it says, pictures, tables, how it was measured."""
    drawn = "".join(map(_plot_html, plots(report)))
    listed = "".join(f"<li>{html.escape(fact)}</li>" for fact in facts(report))
    said = " ".join(map(html.escape, summary(report)))
    return page(
        title(report),
        f'<p class="summary">{said}</p>{drawn}{tables_html(tables(report))}'
        f'<h2>How it was measured</h2><ul class="facts">'
        f"<li><code>{html.escape(report.command)}</code></li>{listed}</ul>",
    )


def tables_html(found: Sequence[Table], marked: Sequence[Sequence[bool]] = ()) -> str:
    """Tables one after the other; ``marked`` says for each table which rows stand out."""
    parts = []
    for number, table in enumerate(found):
        marks = marked[number] if marked else [False] * len(table.rows)
        head = "".join(f"<th>{html.escape(cell)}</th>" for cell in table.head)
        rows = "".join(
            f"<tr{' class=moved' if mark else ''}>{''.join(map(_cell, cells, table.head))}</tr>"
            for cells, mark in zip(table.rows, marks, strict=True)
        )
        notes = "".join(
            f'<p class="note">{"* " if note == RANDOM_WEIGHTS else ""}{html.escape(note)}</p>'
            for note in table.notes
        )
        parts.append(
            f"<h2>{html.escape(table.title)}</h2><div class=wide><table><thead><tr>{head}</tr>"
            f"</thead><tbody>{rows}</tbody></table></div>{notes}"
        )
    return "".join(parts)


def page(heading: str, body: str) -> str:
    """A whole document."""
    name = html.escape(heading)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        # A browser asks for an icon otherwise; the policy is there to be kept.
        '<link rel="icon" href="data:,">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'; img-src data:\">"
        '<meta name="viewport" content="width=device-width">'
        f"<title>{name}</title><style>{_colours()}{_STYLE}{ON_DARK}</style></head>"
        f"<body><h1>{name}</h1>{body}</body></html>\n"
    )


def _colours() -> str:
    def listed(values: Iterable[str]) -> str:
        return "; ".join(f"--{n}: {v}" for n, v in zip(_VARIABLES, values, strict=True))

    dark = listed(DARK[colour] for colour in _VARIABLES.values())
    return (
        f":root {{ color-scheme: light dark; {listed(_VARIABLES.values())} }}"
        f"@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}"
    )


def _plot_html(plot: Plot) -> str:
    return (
        f"<h2>{html.escape(plot.title)}</h2>"
        f"<figure>{plot.svg}<figcaption>{html.escape(plot.caption)}</figcaption></figure>"
    )


def _cell(text: str, head: str) -> str:
    kind = next((f" class={kind}" for most, kind in _WIDE if len(text) > most), "")
    shown, named = html.escape(text), f' data-head="{html.escape(head)}"'
    if _INTERVAL.fullmatch(text):  # below the figure: many columns are to fit beside another
        value, _, bounds = shown.partition(" ")
        return f"<td{named}>{value}<br> <small>{bounds}</small></td>"
    return f"<td{kind}{named}>{shown}</td>"
