"""Recipes: one readable TOML file per task or backbone, with the options of ``crnn-train``."""

import dataclasses
import tomllib
from pathlib import Path
from typing import Any

from crnn.training.config import TrainConfig, declared_options
from crnn.training.config.option import parse_share, parse_shares, wanted_of
from crnn_runtime.errors import CrnnError
from crnn_runtime.model.alphabet import Alphabet

_FOLDER = Path(__file__).parent
_PATHS = {"dataset_root", "init", "resume", "directory"}
_AFTER = "after"


def recipe_names() -> list[str]:
    """The recipes that come with the package."""
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


def load_recipe(name: str) -> dict[str, Any]:
    """The options that a recipe sets, by the names of `TrainConfig`'s fields.

    Args:
        name: one of `recipe_names`, or the path of a TOML file.

    Raises:
        CrnnError: there is no such recipe, or it sets what is no option.
    """
    options = _read(name)
    options.pop(_AFTER, None)
    for option in _PATHS & options.keys():
        options[option] = Path(options[option])
    return options


def recipes_before(name: str) -> list[str]:
    """The recipes whose result a recipe goes on from (its ``after``), the first one first.

    Raises:
        CrnnError: see `load_recipe`; or they go on from each other in a circle.
    """
    before: list[str] = []
    while (name := _read(name).get(_AFTER, "")) and name not in before:
        before.insert(0, name)
    if name:
        raise CrnnError(f"recipe {name} goes on from itself: end the circle of its {_AFTER!r}")
    return before


def _read(name: str) -> dict[str, Any]:
    path = Path(name) if name.endswith(".toml") else _FOLDER / f"{name}.toml"
    if not path.is_file():
        raise CrnnError(f"no recipe {name!r}: choose from {', '.join(recipe_names())}, or a file")
    try:
        options = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CrnnError(f"recipe {path}: {error}") from error
    known = {_AFTER, *(field.name for field in dataclasses.fields(TrainConfig))}
    options = {option.replace("-", "_"): value for option, value in options.items()}
    if unknown := sorted(options.keys() - known):
        raise CrnnError(f"recipe {path}: {unknown[0]!r} is no option of crnn-train")
    for option, value in options.items():
        if wanted := _wanted(option, value):
            raise CrnnError(f"recipe {path}: {option} is {value!r}: it must be {wanted}")
    after = options.get(_AFTER, "")
    if after.endswith(".toml"):  # beside this one
        options[_AFTER] = str(path.parent / after)
    return options


def _wanted(option: str, value: Any) -> str:  # noqa: ANN401 (of any type)
    if option == "synth_options":
        return "" if isinstance(value, dict) else "a table"
    declared = declared_options().get(option)
    return wanted_of(value, str if declared is None else declared.type)


def recipe_config(name: str, directory: Path, **changes: Any) -> TrainConfig:  # noqa: ANN401
    """A recipe as a configuration, some options changed.

    Raises:
        CrnnError: see `load_recipe`.
    """
    options = load_recipe(name) | changes
    options["mix"] = tuple(
        parse_share(part) if isinstance(part, str) else part for part in options.get("mix", ())
    )
    options["blend"] = parse_shares(options.get("blend", ()))
    if not isinstance(options["alphabet"], Alphabet):
        options["alphabet"] = Alphabet.load(options["alphabet"])
    return TrainConfig(directory=directory, **options)
