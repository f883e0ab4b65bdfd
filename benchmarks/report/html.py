"""A report as one HTML file that needs nothing else: no network, no script."""

import html
import re
from collections.abc import Sequence

from crnn_benchmarks.harness.schema import Report
from crnn_benchmarks.report.markdown import facts
from crnn_benchmarks.report.plots import Plot, plots
from crnn_benchmarks.report.tables import RANDOM_WEIGHTS, Table, tables

_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; margin: 2rem auto; max-width: 72rem;
  padding: 0 1rem; color: #1b1b1b; background: #fff; overflow-wrap: anywhere; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
code { background: #f2f2f2; padding: .1em .3em; border-radius: 3px; overflow-wrap: anywhere; }
figure { margin: 1rem 0; } figure svg { max-width: 100%; height: auto; }
figcaption, .note { color: #555; font-size: .9rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .5rem; text-align: left; border-bottom: 1px solid #ddd;
  vertical-align: top; }
td, small { white-space: nowrap; }
th { overflow-wrap: normal; } td.name { white-space: normal; min-width: 9rem; }
td.long { white-space: normal; min-width: 16rem; }
th { border-bottom: 2px solid #999; } .moved td { background: #fff1d6; }
img { max-width: 100%; }
"""
_INTERVAL = re.compile(r"[-\d.]+ \[[^]]*\]")
_WIDE = ((60, ' class="long"'), (18, ' class="name"'))
"""Characters from which on a cell's text may be broken."""


def to_html(report: Report) -> str:
    """The whole report: facts, plots, tables."""
    listed = "".join(f"<li>{html.escape(fact)}</li>" for fact in facts(report))
    drawn = "".join(map(_plot_html, plots(report)))
    return page(
        report.command,
        f"<ul>{listed}</ul>{drawn}{tables_html(tables(report))}",
    )


def tables_html(found: Sequence[Table], marked: Sequence[Sequence[bool]] = ()) -> str:
    """Tables one after the other; ``marked`` says for each table which rows stand out."""
    parts = []
    for number, table in enumerate(found):
        marks = marked[number] if marked else [False] * len(table.rows)
        head = "".join(f"<th>{html.escape(cell)}</th>" for cell in table.head)
        rows = "".join(
            f"<tr{' class=moved' if mark else ''}>{''.join(map(_cell, cells))}</tr>"
            for cells, mark in zip(table.rows, marks, strict=True)
        )
        notes = "".join(
            f'<p class="note">{"* " if note == RANDOM_WEIGHTS else ""}{html.escape(note)}</p>'
            for note in table.notes
        )
        parts.append(
            f"<h2>{html.escape(table.title)}</h2>"
            f'<div class="wide"><table><tr>{head}</tr>{rows}</table></div>{notes}'
        )
    return "".join(parts)


def page(title: str, body: str) -> str:
    """A whole document."""
    name = html.escape(title)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        # A browser asks for an icon otherwise; the policy is there to be kept.
        '<link rel="icon" href="data:,">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'; img-src data:\">"
        '<meta name="viewport" content="width=device-width">'
        f"<title>{name}</title><style>{_STYLE}</style></head>"
        f"<body><h1><code>{name}</code></h1>{body}</body></html>\n"
    )


def _plot_html(plot: Plot) -> str:
    return (
        f"<h2>{html.escape(plot.title)}</h2>"
        f"<figure>{plot.svg}<figcaption>{html.escape(plot.caption)}</figcaption></figure>"
    )


def _cell(text: str) -> str:
    kind = next((kind for most, kind in _WIDE if len(text) > most), "")
    shown = html.escape(text)
    if _INTERVAL.fullmatch(text):  # below the figure: many columns are to fit beside another
        value, _, bounds = shown.partition(" ")
        return f"<td>{value}<br><small>{bounds}</small></td>"
    return f"<td{kind}>{shown}</td>"
