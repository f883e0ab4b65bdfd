import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from crnn.cli.train import main
from crnn_export.cli.export import main as export_main
from crnn_runtime.cli.infer import main as infer_main

LINE = Path(__file__).parents[2] / "examples" / "lines" / "92.png"


def test_the_commands_that_training_ends_with_work_as_they_are_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = [
        "--synth", "digits", "--arch", "lite", "--max-steps", "1", "--batch-size", "2",
        "--synth-lines", "4", "--dev-lines", "2", "--workers", "0", "--threads", "1",
        "--directory", "a run",
    ]  # fmt: skip
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    (export,) = re.findall(r"next: crnn-export (.*)", result.stdout)
    (infer,) = re.findall(r" crnn-infer (.*) PICTURES…", result.stdout)
    done = CliRunner().invoke(export_main, shlex.split(export))
    assert done.exit_code == 0, done.output
    done = CliRunner().invoke(infer_main, [*shlex.split(infer), str(LINE)])
    assert done.exit_code == 0, done.output
