import configparser
from pathlib import Path

import pytest

from tools.minimums import minimums

SETUP = """
[options]
install_requires =
    click >= 8.2.0
    a-b.c>=1.0.0.88
[options.extras_require]
cpu =
    onnxruntime {}
"""


def test_the_lowest_versions_become_constraints() -> None:
    pins = minimums(SETUP.format(">= 1.20.0"))
    assert pins == ["click==8.2.0", "a-b.c==1.0.0.88", "onnxruntime==1.20.0"]


@pytest.mark.parametrize("bound", ["", "== 1.20", "> 1.20", ">= 1.20, < 2"])
def test_a_requirement_without_a_lowest_version_is_an_error(bound: str) -> None:
    with pytest.raises(ValueError, match="onnxruntime"):
        minimums(SETUP.format(bound))


def test_setup_cfg_declares_some() -> None:
    text = (Path(__file__).parents[2] / "setup.cfg").read_text("utf-8")
    config = configparser.ConfigParser()
    config.read_string(text)
    assert len(minimums(text)) == 1 + len(config["options"]["install_requires"].split("\n")) - 1
