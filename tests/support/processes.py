"""Processes of this machine, as /proc lists them."""

from pathlib import Path


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
