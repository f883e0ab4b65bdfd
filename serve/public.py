"""The address under which visitors know a page that stands behind a proxy."""

import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

import click

from crnn_runtime import CrnnError

_PATH = re.compile(r"(/[\w.~-]+)*")


@dataclass(frozen=True)
class PublicUrl:
    """An address in visitors' browsers, without the last slash.

    Attributes:
        url: all of it.
        origin: host and port as a browser names them, in lower case.
        host: the host alone, without the port.
        path: below which the page lies; empty, or ``/lines``.
    """

    url: str
    origin: str
    host: str
    path: str

    @classmethod
    def parse(cls, given: str) -> Self:
        """An address as it is typed.

        Raises:
            CrnnError: it is no such address.
        """
        try:
            parts = urlsplit(given)
            port = parts.port
        except ValueError as error:
            raise CrnnError(f"--public-url {given}: {error}") from error
        path = parts.path.rstrip("/")
        rest = parts.query or parts.fragment or parts.username or parts.password
        if parts.scheme not in ("http", "https") or not parts.hostname or rest:
            raise CrnnError(
                f"--public-url {given}: give the address that visitors type, "
                "such as https://tools.example.org/lines"
            )
        if not _PATH.fullmatch(path) or {".", ".."} & set(path.split("/")):
            raise CrnnError(
                f"--public-url {given}: its path may hold letters, digits and . _ ~ - between "
                "slashes"
            )
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        default = {"http": 80, "https": 443}[parts.scheme]
        origin = host if port in (None, default) else f"{host}:{port}"
        return cls(f"{parts.scheme}://{origin}{path}", origin, host, path)


def _parse(_: click.Context, __: click.Parameter, value: str | None) -> PublicUrl | None:
    try:
        return PublicUrl.parse(value) if value is not None else None
    except CrnnError as error:  # here it is a mistake in an option
        raise click.UsageError(str(error)) from error


public_option = click.option(
    "--public-url",
    "public",
    metavar="URL",
    callback=_parse,
    help="Address under which a proxy serves the page: https://tools.example.org/lines.",
)
