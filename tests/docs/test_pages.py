"""Commands that README.md and docs/ tell a person to type work as shown, see `doc_pages`."""

import contextlib
import json
import logging
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from shutil import copytree

import pytest
from doc_checks import check_command, check_span
from doc_pages import (
    KEEPS_RUNNING,
    LANGUAGES,
    NOT_RUN,
    PAGES,
    REMARKS,
    ROOT,
    Block,
    blocks_of,
    pattern_of,
    spans_of,
)
from doc_sandbox import (
    build_sandbox,
    free_port,
    is_run,
    is_short,
    kept_running,
    run_command,
    run_program,
)
from triton_here import why_no_triton

from crnn.recipes import load_recipe
from crnn_runtime.installed import cache_folder

PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_sandbox(tmp_path_factory.mktemp("pages"))


@pytest.fixture
def sandbox(
    page: Path, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    cache = tmp_path / "cache" / "crnn"
    cache.mkdir(parents=True)
    if "crnn_serve.triton.local_server" in page.read_text("utf-8"):
        if reason := why_no_triton():
            pytest.skip(reason)
        for made in cache_folder().parent.glob("triton-server-*"):  # 200 MB, once for all tests
            (cache / made.name).symlink_to(made)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache.parent))
    yield copytree(prepared, tmp_path / "sandbox")
    logging.getLogger("crnn").setLevel(logging.NOTSET)


@PAGE
def test_blocks_are_of_known_kinds(page: Path) -> None:
    for block in blocks_of(page):
        assert block.language in LANGUAGES, f"{block.where}: ```{block.language}"
        assert block.remark in ("", *REMARKS), f"{block.where}: <!-- {block.remark} -->"
        typed = [line for line in block.lines if line.startswith(("$ ", "crnn-", "python -m "))]
        assert not typed or block.language == "console", f"{block.where}: commands are ```console"
        assert block.language != "console" or block.commands, f"{block.where}: no line has a $"


@PAGE
def test_options_choices_and_files_exist(page: Path) -> None:
    for block in blocks_of(page):
        for command in block.commands if block.language == "console" else ():
            try:
                check_command(command.text)
            except AssertionError as error:
                raise AssertionError(f"{block.where}: {error}") from error
    for span in spans_of(page):
        check_span(span)


@PAGE
def test_what_is_shown_works(page: Path, sandbox: Path) -> None:
    names: dict[str, object] = {}
    ports: dict[str, int] = {}
    with contextlib.ExitStack() as running:
        for written in blocks_of(page):
            if written.remark == KEEPS_RUNNING:
                ports[written.detail] = port = free_port()
                (command,) = filter(is_run, written.at_ports(ports).commands)
                command = replace(command, text=f"{command.text} --port {port}")
                running.enter_context(kept_running(command, sandbox))
                continue
            block = written.at_ports(ports)
            if block.language == "json":
                json.loads(block.text)
            elif block.language == "toml":
                tomllib.loads(block.text)
                (sandbox / "recipe.toml").write_text(block.text, "utf-8")
                load_recipe(str(sandbox / "recipe.toml"))
            elif block.language == "python":
                compile(block.text, block.where, "exec")
                if block.remark != NOT_RUN:
                    run_program(block, names, sandbox)
            elif block.language == "console" and block.remark != NOT_RUN:
                run_console(block, sandbox)


def run_console(block: Block, sandbox: Path) -> None:
    """Run the commands of a block and compare what they print with what it shows."""
    for command in filter(is_run, block.commands):
        assert is_short(block, command), f"{block.where}: shorten it with `test appends`"
        status, printed = run_command(command, sandbox)
        shown = f"{block.where}: $ {command.text}\n{printed}"
        fails = any(line.startswith("Error:") for line in command.output)
        assert (status != 0) == fails, f"{shown}\nexit status {status}"
        printed += "" if printed.endswith("\n") else "\n"
        if command.output and block.remark in ("", NOT_RUN):
            expected = pattern_of(command.output)
            assert expected.fullmatch(printed), f"{shown}\nthe page shows {command.output}"
