from pathlib import Path

import pytest
from han_font import write_han_font

from crnn_runtime.model.alphabet import Alphabet


@pytest.fixture(scope="session")
def han_font(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A font of every character of `zh`, so that Chinese presets run on any machine."""
    path = tmp_path_factory.mktemp("fonts") / "han.ttf"
    return write_han_font(path, "".join(Alphabet.load("zh")))


@pytest.fixture(scope="session")
def fonts(han_font: Path) -> list[str]:
    return ["packages", str(han_font)]
