"""The Triton part of ``crnn-export``: its options, and what it says when it is done."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from crnn_runtime.cli.model_options import turn_option
from crnn_runtime.cli.page_options import FindingOptions
from crnn_runtime.errors import CrnnError

Function = TypeVar("Function", bound=Callable[..., Any])
_LOOPBACK = "--http-address=127.0.0.1 --grpc-address=127.0.0.1"

_OPTIONS = (
    click.option("--name", help="Model's name in REPO (default: the file's)."),
    click.option("--plain", is_flag=True, help="Only the network, for Triton's own backends."),
    click.option("--device", help="cpu, cuda, cuda:1.  [default: cpu for ONNX, cuda for engines]"),
    click.option("--instances", type=int, help="Processes side by side (default: one per core)."),
    click.option(
        "--threads", type=int, help="CPU threads of each instance (default: cores / instances)."
    ),
    click.option("--max-batch", type=int, default=64, show_default=True, help="Images in a batch."),
    click.option(
        "--queue-delay",
        type=float,
        default=0.0,
        show_default=True,
        help="Milliseconds that a request may wait for others, to share a batch.",
    ),
    click.option(
        "--max-queue",
        type=int,
        default=1024,
        show_default=True,
        help="Requests that wait at most.",
    ),
    turn_option,
    click.option(
        "--bucket",
        "buckets",
        type=int,
        multiple=True,
        help="Width in pixels of a model of --plain; may be repeated.",
    ),
)
_ENGINE = ("flavour", "batch", "profile", "profile_from", "target", "opt_level", "timing_cache")


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

    ours = {field.name for kind in (Serving, FindingOptions) for field in dataclasses.fields(kind)}
    ours.discard("side")  # a detector's engine has one, too
    for parameter in context.command.params:
        name = parameter.name or ""
        if context.get_parameter_source(name) != ParameterSource.COMMANDLINE:
            continue
        flag = parameter.opts[0]
        if name in ours and to != "triton":
            raise click.UsageError(f"{flag} is for --to triton")
        if name in _ENGINE and to != "trt":
            more = ": export the engine first" if to == "triton" else ""
            raise click.UsageError(f"{flag} is for --to trt{more}")
        if name == "out" and to == "triton":
            raise click.UsageError("--out is not for --to triton, which takes a folder: REPO")
    repository = context.params["repository"]
    if to == "triton" and repository is None:
        raise click.UsageError("--to triton takes a model and a folder: MODEL --to triton REPO")
    if to != "triton" and repository is not None:
        raise click.UsageError(f"one MODEL at a time, not {repository} too")


def write_repository(
    context: click.Context,
    folder: str,
    options: Mapping[str, Any],
    finding: FindingOptions | None,
    make: Callable[[], str],
) -> None:
    """Write what is asked for, and say what was written.

    Args:
        context: of the command.
        folder: the repository.
        options: of the command line, which are checked before all else.
        finding: those of pages, None if pictures are lines.
        make: gives the model, path or reader's name.
    """
    from crnn_serve.pages import Pages  # noqa: PLC0415
    from crnn_serve.triton import Serving, write_model  # noqa: PLC0415

    values = {f.name: options[f.name] for f in dataclasses.fields(Serving) if f.name in options}
    told = any(
        context.get_parameter_source(name) == ParameterSource.COMMANDLINE
        for name in (*values, "side", "join", "least", "upright")
        if name not in ("name", "plain", "buckets")
    )
    if finding is not None:
        values["pages"] = Pages(detection=finding.detection(), reading=finding.reading())
        values["detector"] = finding.detector
    serving = Serving(**values)
    repository = Path(folder)
    if repository.exists() and not repository.is_dir():
        raise CrnnError(f"{repository} is a file: the repository is a folder of models")
    for written in write_model(make(), repository, serving, replace_config=told):
        config = f"{written.folder.parent / 'config.pbtxt'} was {written.config}"
        click.echo(f"Wrote {written.folder}; {config}")
    click.echo(f"Serve it: tritonserver --model-repository={repository.resolve()} {_LOOPBACK}")
    click.echo("for this machine alone; without the addresses the server answers to any other")
