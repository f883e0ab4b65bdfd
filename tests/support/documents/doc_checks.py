"""Whether what a page tells a person to type exists: options, choices, extras, files."""

import configparser
import contextlib
import io
import re
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from itertools import pairwise

import click
from doc_pages import ROOT, parts_of

SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg")
EXTRAS = set(SETUP["options.extras_require"])
SCRIPTS = dict(
    line.split(" = ")
    for line in SETUP["options.entry_points"]["console_scripts"].strip().split("\n")
)
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
_MAKE_OPTIONS = re.compile(r"^[A-Z]+=")


@cache
def click_command(name: str) -> click.Command:
    """``crnn-infer`` → the command itself."""
    module, _, function = SCRIPTS[name].partition(":")
    command = getattr(import_module(module), function)
    assert isinstance(command, click.Command)
    return command


def check_command(text: str) -> None:
    """Check every program of a shell line, as far as it is known here.

    Raises:
        AssertionError: something that it names does not exist.
    """
    for words in parts_of(text):
        program, arguments = words[0], [word for word in words[1:] if word != "…"]
        if program.startswith("crnn-"):
            assert program in SCRIPTS, f"{text}: setup.cfg has no command {program}"
            _parse(program, arguments, text)
        elif program == "pip":
            _check_pip(arguments, text)
        elif program == "make":
            _check_make(arguments, text)
        elif program in ("python", "python3", "torchrun") and "-m" in arguments:
            _check_module(arguments, text)
        elif program in ("docker", "podman"):
            _check_docker(arguments, text)


def check_span(span: str) -> None:
    """Check the options in a piece of code within a sentence.

    Raises:
        AssertionError: no such option. One of another program is written with its name.
    """
    name = span.split(maxsplit=1)[0]
    if name in SCRIPTS:
        known = _options(click_command(name))
    elif span.startswith("--"):
        known = {option for each in SCRIPTS for option in _options(click_command(each))}
    else:
        return
    for option in _OPTION.findall(span):
        assert option in known, f"`{span}`: no option {option}; write another's with its name"


def _options(command: click.Command) -> set[str]:
    found = {"--help", "--version"}
    for parameter in command.params:
        found |= {*parameter.opts, *parameter.secondary_opts}
    for each in _commands(command).values():
        found |= _options(each)
    return found


@cache
def _commands(command: click.Command) -> dict[str, click.Command]:
    """The commands of a group, which may be imported only when they are asked for."""
    if not isinstance(command, click.Group):
        return {}
    context = click.Context(command)
    found = {name: command.get_command(context, name) for name in command.list_commands(context)}
    return {name: each for name, each in found.items() if each is not None}


def _parse(program: str, arguments: list[str], text: str) -> None:
    command = click_command(program)
    if isinstance(command, click.Group) and arguments and not arguments[0].startswith("-"):
        commands = _commands(command)
        assert arguments[0] in commands, f"{text}: no command {arguments[0]}"
        command, arguments = commands[arguments[0]], arguments[1:]
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            command.make_context(program, list(arguments))
    except click.exceptions.Exit:  # --list and --help end there
        return
    except click.UsageError as error:
        raise AssertionError(f"{text}: {error.format_message()}") from error


def _check_pip(arguments: list[str], text: str) -> None:
    for word in arguments[1:]:
        if found := re.fullmatch(r"(?:\.|crnn)\[([\w,-]+)\]", word):
            unknown = set(found[1].split(",")) - EXTRAS
            assert not unknown, f"{text}: setup.cfg has no extra {', '.join(sorted(unknown))}"
        elif word.startswith("-") and (ROOT / "constraints.txt").name in arguments:
            assert word in ("--constraint", "-c"), text


def _check_make(arguments: list[str], text: str) -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in arguments:
        if not _MAKE_OPTIONS.match(target):
            assert re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE), f"{text}: {target}"


def _check_module(arguments: list[str], text: str) -> None:
    place = arguments.index("-m")
    module = arguments[place + 1]
    assert not module.startswith("crnn") or find_spec(module), f"{text}: no module {module}"
    for name, home in SCRIPTS.items():
        if home == f"{module}:main":
            _parse(name, arguments[place + 2 :], text)


def _check_docker(arguments: list[str], text: str) -> None:
    """A build's file exists, and what follows ``crnn`` or ``crnn-…`` is crnn-infer's."""
    for option, value in pairwise(arguments):
        if option in ("--file", "-f"):
            assert (ROOT / value).is_file(), f"{text}: no file {value}"
    image = re.compile(r"crnn(-gpu|-trt)?")
    if arguments[0] == "run" and "--entrypoint" not in arguments:
        place = next((n for n, word in enumerate(arguments) if image.fullmatch(word)), None)
        if place is not None and arguments[place + 1 :]:
            _parse("crnn-infer", arguments[place + 1 :], text)
