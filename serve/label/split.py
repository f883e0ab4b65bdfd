"""Groups lines that belong together, and keeps some groups for validation."""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import PurePosixPath

_NUMBERED = re.compile(r"(?P<page>.+?)[-_. ]+[A-Za-z]*\d+")
"""``page-7_line03``, ``scan.0012``: a page and the number of a line."""


def pages_of(paths: Sequence[str]) -> dict[str, str]:
    """Path → the page that its line was cut out of, as far as names tell.

    ``a_01.png`` and ``a_02.png`` are two lines of ``a`` where there are also lines of
    ``b``. Where all pictures of a folder have the same beginning (``line_01.png``,
    ``line_02.png``) it names no page, and each is its own. ``07.png`` is a line of its
    folder, if that is not the uppermost.
    """
    beginnings: dict[str, Counter[str]] = defaultdict(Counter)
    parts = {}
    for path in paths:
        name = PurePosixPath(path)
        found = _NUMBERED.fullmatch(name.stem)
        parts[path] = (str(name.parent), found["page"] if found else "", name.stem)
        beginnings[parts[path][0]][parts[path][1]] += 1
    pages = {}
    for path, (folder, page, stem) in parts.items():
        if page and (len(beginnings[folder]) > 1 or page[-1].isdigit()):
            pages[path] = f"{folder}/{page}"
        elif stem.isdecimal() and folder != ".":
            pages[path] = folder
        else:
            pages[path] = path
    return pages


def for_validation(texts: Mapping[str, str], pages: Mapping[str, str], share: float) -> set[str]:
    """The paths that are kept for validation.

    Lines of one page, and lines of equal text, are on one side; so are all that hang
    together by a chain of these. Which side depends on the names alone, so further lines
    move none, unless they join two such groups.

    Args:
        texts: path → text.
        pages: path → page.
        share: of the groups to keep, above 0 and below 1.
    """
    groups = _groups(texts, pages)
    if len(groups) < 2:
        return set()
    largest = max(groups, key=lambda group: (len(groups[group]), group))
    ranks = {group: rank(group) for group in groups if group != largest}
    chosen = {group for group, value in ranks.items() if value < share}
    chosen = chosen or {min(ranks, key=lambda group: (ranks[group], group))}
    return {path for group in chosen for path in groups[group]}


@lru_cache(1 << 20)
def rank(name: str) -> float:
    """A number in [0, 1) that follows from the name and nothing else."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64


def _groups(texts: Mapping[str, str], pages: Mapping[str, str]) -> dict[str, list[str]]:
    """Smallest page of a group → its paths."""
    above: dict[str, str] = {}

    def top(page: str) -> str:
        while (parent := above.setdefault(page, page)) != page:
            above[page] = above[parent]  # halves the way
            page = parent
        return page

    first: dict[str, str] = {}
    for path, text in texts.items():
        one, other = top(pages[path]), top(pages[first.setdefault(text, path)])
        above[max(one, other)] = min(one, other)
    groups: dict[str, list[str]] = defaultdict(list)
    for path in texts:
        groups[top(pages[path])].append(path)
    return groups
