"""Processes of this machine, as /proc lists them, and servers of a page's."""

import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def listening(command: Sequence[str]) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Starts a page's server; gives its address and process, which is killed in the end."""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            found = re.match(r"Listening on (\S+)", process.stdout.readline())
            assert found, process.communicate()[1]
            yield found[1], process
        finally:
            process.kill()


def children(parent: int) -> list[int]:
    """Processes that a process has started and that are still there."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            stat = (entry / "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(stat[1]) == parent:
            found.append(int(entry.name))
    return found
