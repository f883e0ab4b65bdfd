"""Readers that people use today, each in its own Python; see `PEERS`."""

import dataclasses
import subprocess
import sys
import venv
from pathlib import Path

from crnn_runtime.errors import CrnnError
from crnn_runtime.installed import requirements_of

RUNNER = Path(__file__).with_name("runner.py")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Peer:
    """A reader of somebody else.

    Attributes:
        title: what it is.
        module: its file beside `RUNNER`.
        extra: of this project that installs it; empty if the system's packages do.
        system: how the system's packages bring it.
    """

    title: str
    module: str
    extra: str = ""
    system: str = ""

    def requirements(self) -> list[str]:
        """Returns the packages that pip is to install, as ``setup.cfg`` names them.

        Raises:
            CrnnError: this project is not installed.
        """
        return requirements_of(self.extra)


PEERS: dict[str, Peer] = {
    "rapidocr": Peer(
        title="RapidOCR 3 (PP-OCRv6 small)", module="peer_rapidocr", extra="peer-rapidocr"
    ),
    "rapidocr-onnxruntime": Peer(
        title="RapidOCR 1.4 (PP-OCRv4 mobile)",
        module="peer_rapidocr_onnxruntime",
        extra="peer-rapidocr-onnxruntime",
    ),
    "ddddocr": Peer(title="ddddocr", module="peer_ddddocr", extra="peer-ddddocr"),
    "tesseract": Peer(
        title="Tesseract 5 (chi_sim+eng)",
        module="peer_tesseract",
        system="apt install tesseract-ocr tesseract-ocr-chi-sim",
    ),
}
"""Name → peer. A new one is a file beside `RUNNER`, an extra and an entry."""


def python_of(name: str, folder: Path | None) -> str:
    """The Python that runs a peer: of its environment in ``folder``, else this one."""
    if folder is not None and PEERS[name].extra:
        found = folder / name / "bin" / "python"
        if found.exists():
            return str(found)
    return sys.executable


def prepare(name: str, folder: Path) -> str:
    """Make an environment of its own for a peer, and say what was done.

    Two of them bring builds of OpenCV that overwrite the one of this project.

    Raises:
        CrnnError: pip cannot install it.
    """
    peer = PEERS[name]
    if not peer.extra:
        return f"{name}: {peer.system}"
    place = folder / name
    if not (wanted := peer.requirements()):
        raise CrnnError(
            f"this installation does not know the extra {peer.extra}: install crnn again"
        )
    try:
        venv.create(place, with_pip=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise CrnnError(f"cannot make an environment in {place}: {error}") from error
    command = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", *wanted]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        last = (result.stderr.strip() or "no message").splitlines()[-1]
        raise CrnnError(f"{name}: pip cannot install {', '.join(wanted)}: {last}")
    return f"{name}: {', '.join(wanted)} in {place}"
