"""The exceptions a user can cause, each one line that says how to mend it."""

import json
import re
from pathlib import Path

_PROJECT = "crnn"


class CrnnError(ValueError):
    """A user's mistake: the message names the offending value and the fix.

    Command-line programs print the message and exit with status 2; they never
    print a traceback for it.
    """


class ImageError(CrnnError):
    """An image that cannot be read as one line of text."""


class ModelError(CrnnError):
    """A model file that cannot be used: unreadable, foreign or inconsistent."""


class MissingDependencyError(CrnnError):
    """An optional package or a device that was asked for and is not there."""

    @classmethod
    def of_extra(cls, package: str, extra: str) -> "MissingDependencyError":
        """Name the package that is missing and the extra that brings it."""
        return cls(f"{package} is not installed: {install_command(extra)}")


def install_command(extra: str) -> str:
    """The ``pip install`` that adds an extra to this very installation.

    The project's name alone would not do: a package index may know another project by
    it. So it is the folder, wheel or address that this one was installed from, and
    where that is gone the libraries themselves.
    """
    return f"pip install {_from_origin(extra) or _libraries(extra)}"


def _from_origin(extra: str) -> str | None:
    """Returns what pip installs with an extra: this project from where it came from (PEP 610)."""
    from importlib import metadata  # noqa: PLC0415 (slow: not for --help)
    from urllib.parse import unquote, urlsplit  # noqa: PLC0415

    # Also a build's leftovers in the current folder count as a distribution.
    known = (each.read_text("direct_url.json") for each in metadata.distributions(name=_PROJECT))
    origin = json.loads(next(filter(None, known), "{}"))
    url = urlsplit(origin.get("url", ""))
    if url.scheme == "file":
        path = unquote(url.path)
        editable = "--editable " if origin.get("dir_info", {}).get("editable") else ""
        return f'{editable}"{path}[{extra}]"' if Path(path).exists() else None
    if not url.scheme:
        return None
    kind = origin.get("vcs_info", {}).get("vcs")
    return f'"{_PROJECT}[{extra}] @ {f"{kind}+" if kind else ""}{url.geturl()}"'


def _libraries(extra: str) -> str:
    names = requirements_of(extra)
    # None: run from a folder that was never installed.
    return f'".[{extra}]"' if names is None else " ".join(f'"{name}"' for name in names)


def requirements_of(extra: str) -> list[str] | None:
    """Returns the packages that an extra of this project asks for; None if this project is not
    installed.
    """
    from importlib import metadata  # noqa: PLC0415 (slow: not for --help)

    try:
        listed = metadata.requires(_PROJECT) or []
    except metadata.PackageNotFoundError:
        return None
    marker = re.compile(rf"""extra\s*==\s*['"]{re.escape(extra)}['"]""")
    return [line.partition(";")[0].strip() for line in listed if marker.search(line)]
