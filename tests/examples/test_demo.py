import re

import nbformat
import pytest

pytest.importorskip("nbclient", reason="needs nbclient and ipykernel, of the extra dev")
from notebook import DEMO, executed, texts


def without_figures(shown: list[str]) -> str:
    """Joins the prints of a cell to one text: they may come in several pieces.

    Figures in the last digits differ from machine to machine.
    """
    return re.sub(r"\d\.\d+(e-\d+)?|\d+ MB", "#", "".join(shown))


@pytest.mark.slow
def test_the_demo_runs_and_shows_what_is_stored() -> None:
    stored = nbformat.read(DEMO, as_version=4)
    assert without_figures(texts(executed())) == without_figures(texts(stored))


def test_no_path_of_a_machine_is_stored() -> None:
    text = DEMO.read_text("utf-8")
    assert not re.search(r"/(home|root|tmp|work|usr|Users)/", text)
    assert "image/png" in text
