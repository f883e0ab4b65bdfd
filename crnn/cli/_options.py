"""The options of ``crnn-train``, made from the fields of `TrainConfig`."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

import click

from crnn.cli.completion import complete_arch
from crnn.training.config import TrainConfig, declared_options
from crnn.training.config.option import Option, plain_type

F = TypeVar("F", bound=Callable[..., Any])

# What an option takes where its type alone does not say.
_METAVARS = {
    "synth": "PRESET",
    "mix": "DATA=SHARE",
    "validate_on": "DATA",
    "blend": "SHARE,…",
    "teacher": "CKPT",
    "unlabelled": "FOLDER",
    "init": "CKPT",
    "init_alphabet": "FILE",
    "resume": "CKPT",
    "fit_new": "N",
    "freeze_backbone": "N",
    "overfit": "N",
}
_NAMES = {"gpu": "--gpu-id", "channels_last": "--channels-last/--channels-first"}
# Options whose default depends on the machine or on other options; the help says it.
_OPEN = {"arch", "directory", "gpu", "threads", "workers"}


def training_options(command: F) -> F:
    """Give a command one option per field of `TrainConfig`, of the same name and default.

    Ranges are not checked here: `TrainConfig` does, for recipes and for Python, too.
    """
    defaults = {field.name: field.default for field in dataclasses.fields(TrainConfig)}
    for name, option in reversed(declared_options().items()):
        default = None if name in _OPEN else defaults[name]
        command = _option(name, option, default)(command)
    return command


def _option(name: str, option: Option, default: Any) -> Callable[[F], F]:  # noqa: ANN401
    flags = _NAMES.get(name, "--" + name.replace("_", "-"))
    settings: dict[str, Any] = {"help": option.text, "metavar": _METAVARS.get(name)}
    if name == "arch":
        settings["shell_complete"] = complete_arch
    kind = plain_type(option.type)
    if get_origin(kind) is tuple:
        return click.option(flags, name, multiple=True, **settings)
    if kind is bool:
        shown = True if "/" in flags else None  # a plain flag is off, but a recipe may set it
        both = flags if "/" in flags else f"{flags}/--no-{flags.removeprefix('--')}"
        return click.option(both, name, default=default, show_default=shown, **settings)
    if get_origin(kind) is Literal:
        settings["type"] = click.Choice(get_args(kind))
    else:
        settings["type"] = click.Path(path_type=Path) if kind is Path else kind
    return click.option(
        flags, name, default=default, show_default=default is not None or None, **settings
    )
