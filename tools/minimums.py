"""The lowest versions that the runtime declares, as constraints for pip: see `make minimums`."""

import configparser
import re
import sys
from pathlib import Path

SECTIONS = (("options", "install_requires"), ("options.extras_require", "cpu"))
"""The extras of setup.cfg that an installation for reading lines on a CPU needs."""
_REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)\s*>=\s*(?P<version>[\w.]+)")


def minimums(setup: str) -> list[str]:
    """``name==version`` for each requirement of the runtime.

    Args:
        setup: text of a setup.cfg.

    Raises:
        ValueError: a requirement has another form than ``name >= version``.
    """
    config = configparser.ConfigParser()
    config.read_string(setup)
    pins = []
    for section, key in SECTIONS:
        for line in config[section][key].strip().splitlines():
            found = _REQUIREMENT.fullmatch(line.strip())
            if found is None:
                raise ValueError(f"setup.cfg, {key}: {line!r} has no lowest version")
            pins.append(f"{found['name']}=={found['version']}")
    return pins


if __name__ == "__main__":
    text = (Path(__file__).parents[1] / "setup.cfg").read_text("utf-8")
    sys.stdout.writelines(f"{pin}\n" for pin in minimums(text))
