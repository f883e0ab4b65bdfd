"""``crnn``: the list of all commands, and the completion of each in bash."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import CliRunner

from crnn_runtime.cli import crnn
from crnn_runtime.cli.crnn import COMMANDS, main
from crnn_runtime.errors import install_command
from crnn_runtime.readers import reader_names
from crnn_runtime.readers.known import KNOWN

MODULE = [sys.executable, "-m", "crnn_runtime.cli.crnn"]


def listed() -> dict[str, str]:
    """Command → its line."""
    output = CliRunner().invoke(main, []).output
    rows = [row.split(maxsplit=1) for row in output.partition("Commands:\n")[2].splitlines()]
    return {row[0]: row[1] for row in rows if len(row) == 2 and row[0] in COMMANDS}


def test_without_arguments_the_commands_are_listed_one_a_line_in_the_order_of_the_work() -> None:
    assert list(listed()) == list(COMMANDS)
    assert CliRunner().invoke(main, []).exit_code == 0
    assert "  completion " in CliRunner().invoke(main, []).output
    assert CliRunner().invoke(main, ["--help"]).output == CliRunner().invoke(main, []).output


def test_a_command_without_its_extra_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = {"torch", "onnxruntime", "tensorrt", "tensorrt_rtx"}
    monkeypatch.setattr(crnn, "find_spec", lambda name: object())
    assert not any(line.endswith("]") for line in listed().values())
    monkeypatch.setattr(crnn, "find_spec", lambda name: None if name in gone else object())
    named = {name: line.rpartition("  [")[2] for name, line in listed().items() if "  [" in line}
    assert named == {"train": "train]", "export": "export]", "bench": "bench]", "infer": "cpu]"}
    output = CliRunner().invoke(main, []).output
    assert output.splitlines()[-1].endswith(install_command("train"))
    monkeypatch.setattr(crnn, "find_spec", lambda name: None if name == "onnxruntime" else object())
    assert not listed()["infer"].endswith("]"), "engines are read without ONNX Runtime"


def test_extras_are_those_of_missing_packages() -> None:
    """A list says the same as the command would say when it is called."""
    from crnn_runtime.console import _EXTRAS

    for name, (extra, packages) in crnn.EXTRAS.items():
        if name not in ("infer", "export", "bench"):  # these need several extras' packages
            assert {_EXTRAS[package] for package in packages} == {extra}, name


def test_the_list_imports_click_alone() -> None:
    script = (
        "import sys; before = set(sys.modules); from crnn_runtime.cli.crnn import main\n"
        "main([], standalone_mode=False); print(*(set(sys.modules) - before), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    ours = {"click", "crnn_runtime"}
    imported = {name.partition(".")[0] for name in done.stderr.split()}
    assert imported >= ours
    assert {name for name in imported - sys.stdlib_module_names if name[0] != "_"} == ours


def test_a_command_is_called_by_its_name() -> None:
    done = CliRunner().invoke(main, ["lm", "--help"], prog_name="crnn")
    assert done.exit_code == 0
    assert done.output.startswith("Usage: crnn lm ")
    assert CliRunner().invoke(main, ["infer", "zh"]).exit_code == 2
    assert CliRunner().invoke(main, ["lern"]).exit_code == 2


def ask(*words: str) -> list[tuple[str, str]]:
    """Returns click's answer to bash, which asks for the last word: pairs of kind and value."""
    program, module = words[0], "crnn_runtime.cli.crnn"
    if program != "crnn":
        module = COMMANDS[program.removeprefix("crnn-")].module
    variable = f"_{program}_COMPLETE".replace("-", "_").upper()
    asked = {variable: "bash_complete", "COMP_WORDS": "\n".join(words)}
    script = f"import sys; sys.argv[0] = {program!r}; from {module} import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **asked, "COMP_CWORD": str(len(words) - 1)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    return [(kind, value) for kind, _, value in (x.partition(",") for x in done.stdout.split())]


def test_readers_are_completed_and_files_beside_them() -> None:
    named = [("plain", name) for name in (*reader_names(), *KNOWN)]
    assert ask("crnn-infer", "") == [("file", ""), *named]
    assert ask("crnn-infer", "zh-") == [("file", "zh-"), ("plain", "zh-large")]
    assert ask("crnn-infer", "zh", "scans/") == [("file", "scans/")]
    assert ("plain", "--page") in ask("crnn-infer", "zh", "--pa")
    if find_spec("ray"):
        assert ask("crnn-bulk", "--model", "lat") == [("file", "lat"), ("plain", "latin")]


def test_commands_and_their_options_are_completed() -> None:
    assert ask("crnn", "") == [("plain", name) for name in (*COMMANDS, "completion")]
    assert ask("crnn", "l") == [("plain", "label"), ("plain", "lm")]
    assert ask("crnn", "lm", "--or") == [("plain", "--order")]


def test_one_script_completes_every_command_in_bash() -> None:
    done = subprocess.run(
        [*MODULE, "completion", "bash"], capture_output=True, text=True, check=True
    )
    completed = re.findall(r"complete .*-F \S+ (\S+)", done.stdout)
    assert completed == ["crnn", *(f"crnn-{name}" for name in COMMANDS)]
    ask_bash = (
        "compopt() { :; }\n"  # outside a completion it only complains
        "COMP_WORDS=(crnn-infer lat); COMP_CWORD=1; _crnn_infer_completion crnn-infer\n"
        'echo "${COMPREPLY[@]}"'
    )
    here = Path(sys.executable).parent
    said = subprocess.run(
        ["bash", "--norc", "-c", f"{done.stdout}\n{ask_bash}"],
        env={**os.environ, "PATH": f"{here}:{os.environ['PATH']}"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert said.stdout.split() == ["latin"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_have_their_scripts(shell: str) -> None:
    output = CliRunner().invoke(main, ["completion", shell]).output
    assert all(f"crnn-{name}" in output for name in COMMANDS)
