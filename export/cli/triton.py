"""The Triton part of ``crnn-export``: its options, and what it says when it is done."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from crnn_runtime.cli.model_options import turn_option
from crnn_runtime.errors import CrnnError

Function = TypeVar("Function", bound=Callable[..., Any])
_LOOPBACK = "--http-address=127.0.0.1 --grpc-address=127.0.0.1"

_OPTIONS = (
    click.option("--name", help="Model's name in REPO (default: the file's)."),
    click.option("--plain", is_flag=True, help="The network alone, for Triton's own backends."),
    click.option("--device", help="cpu, cuda, cuda:1.  [default: cpu for ONNX, cuda for engines]"),
    click.option("--instances", type=int, help="Processes side by side (default: one a core)."),
    click.option("--threads", type=int, help="Of each instance (default: cores / instances)."),
    click.option("--max-batch", type=int, default=64, show_default=True, help="Images at once."),
    click.option(
        "--queue-delay",
        type=float,
        default=0.0,
        show_default=True,
        help="Milliseconds a request may wait for others to be read with.",
    ),
    click.option(
        "--max-queue", type=int, default=1024, show_default=True, help="Requests that may wait."
    ),
    turn_option,
    click.option(
        "--bucket", "buckets", type=int, multiple=True, help="Width of a model (--plain), several."
    ),
)
_SHARED = {"model", "repository", "to"}


def triton_options(function: Function) -> Function:
    """The options of ``--to triton``."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def check_target(context: click.Context, to: str) -> None:
    """Refuse options that mean nothing for what is written.

    Raises:
        click.UsageError: such an option was given.
    """
    from crnn_serve.triton.options import Serving  # noqa: PLC0415

    ours = {field.name for field in dataclasses.fields(Serving)}
    given = {
        parameter.name: parameter
        for parameter in context.command.params
        if context.get_parameter_source(parameter.name or "") == ParameterSource.COMMANDLINE
    }
    for name, parameter in given.items():
        if name not in _SHARED and (name in ours) != (to == "triton"):
            wrong = "is not for" if to == "triton" else "is for"
            more = ": export the ONNX file or engine first" if to == "triton" else ""
            raise click.UsageError(f"{parameter.opts[0]} {wrong} --to triton{more}")
    if to == "triton" and {"model", "repository"} - given.keys():
        raise click.UsageError("--to triton takes a model and a folder: MODEL --to triton REPO")
    if to != "triton" and "repository" in given:
        raise click.UsageError(f"one MODEL at a time, not {context.params['repository']} too")


def write_repository(context: click.Context, options: Mapping[str, Any]) -> None:
    """Write what is asked for, and say what was written."""
    from crnn_serve.triton import Serving, write_model  # noqa: PLC0415

    names = [field.name for field in dataclasses.fields(Serving)]
    told = any(
        context.get_parameter_source(name) == ParameterSource.COMMANDLINE
        for name in names
        if name not in ("name", "plain", "buckets")
    )
    serving = Serving(**{name: options[name] for name in names})
    repository = Path(context.params["repository"])
    if repository.exists() and not repository.is_dir():
        raise CrnnError(f"{repository} is a file: the repository is a folder of models")
    for written in write_model(context.params["model"], repository, serving, replace_config=told):
        config = f"{written.folder.parent / 'config.pbtxt'} was {written.config}"
        click.echo(f"Wrote {written.folder}; {config}")
    click.echo(f"Serve it: tritonserver --model-repository={repository.resolve()} {_LOOPBACK}")
    click.echo("for this machine alone; without the addresses the server answers to any other")
