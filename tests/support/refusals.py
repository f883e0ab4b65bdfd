"""Everything that refusals have in common, whatever their words: type, one line, names."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from crnn_runtime import CrnnError


@contextmanager
def refused(*names: object, kind: type[CrnnError] = CrnnError) -> Iterator[None]:
    """Asserts that the block raises an error of this kind, in one line that names all these."""
    with pytest.raises(kind) as caught:
        yield
    assert_line(str(caught.value), *names)


def assert_usage_error(result: Any, *names: object) -> None:  # noqa: ANN401
    """A finished process or click's result: status 2, nothing printed, one line of error."""
    status = result.returncode if hasattr(result, "returncode") else result.exit_code
    assert (status, result.stdout) == (2, "")
    assert_line(result.stderr.rstrip("\n").splitlines()[-1], *names)  # below click's usage
    assert "Traceback" not in result.stderr


def assert_line(text: str, *names: object) -> None:
    """One line that says something and names all these."""
    assert text.strip()
    assert "\n" not in text
    for name in names:
        assert str(name) in text
