"""Reports the progress of a run: a bar on a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

import click

from crnn_serve.bulk.parts import Count

_EVERY = 10.0  # seconds between lines


class Advance(Protocol):
    """Told that a part is done."""

    def __call__(self, count: Count) -> None:
        """Takes in the count of a part that was read."""


@contextmanager
def progress(parts: int, done: int) -> Iterator[Advance]:
    """Show how many parts are done, and lines a second of this run, on standard error."""
    started = shown = time.monotonic()
    lines = unread = 0

    def state() -> str:
        rate = lines / max(time.monotonic() - started, 1e-9)
        return f"{lines:,} lines, {rate:,.0f}/s, {unread:,} unread"

    if not sys.stderr.isatty():

        def tell(count: Count) -> None:
            nonlocal lines, unread, done, shown
            lines, unread, done = lines + count.lines, unread + count.unread, done + 1
            if time.monotonic() - shown > _EVERY:
                shown = time.monotonic()
                click.echo(f"part {done:,} of {parts:,}: {state()}", err=True)

        yield tell
        return
    shown_bar: AbstractContextManager[Any] = click.progressbar(
        length=parts, label="parts", show_pos=True, file=sys.stderr,
        item_show_func=lambda _: state(),
    )  # fmt: skip
    with shown_bar as bar:
        bar.update(done)

        def move(count: Count) -> None:
            nonlocal lines, unread
            lines, unread = lines + count.lines, unread + count.unread
            bar.update(1, current_item=lines)

        yield move
