import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest
import torch
from click.testing import CliRunner, Result
from digit_lines import write_data_set
from refusals import assert_line, assert_usage_error, refused

from crnn.checkpoints import save_checkpoint
from crnn.cli.train import main
from crnn.model import build_model, default_card
from crnn.recipes import load_recipe, recipe_names, recipes_before
from crnn.synth.fonts import files
from crnn_runtime.errors import CrnnError
from crnn_runtime.model.alphabet import Alphabet

TINY = [
    "--synth-lines", "8", "--dev-lines", "4", "--batch-size", "4", "--max-epoch", "1",
    "--workers", "0", "--threads", "1", "--gpu-id", "-1",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield
    logging.getLogger("crnn").setLevel(logging.NOTSET)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_data_set(tmp_path / "data")


def test_a_folder_of_the_original_is_trained_on_and_tested(root: Path) -> None:
    result = run(
        "--dataset-root", str(root), "--arch", "mobilenetv2_cifar", "--alphabet", "0123456789",
        "--optimizer", "rmsprop", "--lr", "5e-4", "--max-epoch", "1", "--not-pretrained",
        "--batch-size", "4", "--workers", "0",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    (folder,) = Path("runs").iterdir()
    assert {path.name for path in folder.glob("*.pth*")} == {"best.pth", "last.pth"}
    tested = run(
        "--dataset-root", str(root), "--resume", str(folder / "last.pth"), "--test-only",
        "--workers", "0",
    )  # fmt: skip
    assert tested.exit_code == 0, tested.output
    assert tested.output.startswith("accuracy: ")
    assert "of 8 lines exact" in tested.output


def test_a_checkpoint_of_the_original_is_tested(root: Path) -> None:
    model = build_model("shufflenetv2_cifar", 11, 3)
    content = {
        "arch": "shufflenetv2_cifar", "epoch": 2, "state_dict": model.state_dict(),
        "best_accuracy": 0.5,
    }  # fmt: skip
    torch.save(content, "old.pth.tar")
    arguments = ["--dataset-root", str(root), "--resume", "old.pth.tar", "--test-only"]
    without = run(*arguments)
    assert without.exit_code == 2
    assert "--alphabet" in without.output
    result = run(*arguments, "--alphabet", "0123456789", "--keep-ratio", "--workers", "0")
    assert result.exit_code == 0, result.output


def test_another_experiment_gets_another_folder_and_the_same_one_goes_on() -> None:
    for rate in ("1e-3", "2e-3", "1e-3"):
        result = run("--synth", "digits", "--lr", rate, *TINY)
        assert result.exit_code == 0, result.output
    logs = list(Path("runs").glob("lite-*/log.jsonl"))
    assert len(logs) == 2


def test_unreadable_lines_give_status_1(root: Path) -> None:
    path = root / "images" / "dev_3.jpg"
    data = bytearray(cv2.imencode(".png", cv2.imread(str(path)))[1].tobytes())
    data[len(data) // 2] ^= 255  # only decoding shows it
    path.write_bytes(data)
    result = run(
        "--dataset-root", str(root), "--alphabet", "digits", "--batch-size", "4",
        "--max-epoch", "1", "--workers", "0",
    )  # fmt: skip
    assert result.exit_code == 1
    assert "dev.txt:4:" in result.stderr
    assert "of 7 lines exact" in result.stdout


def test_check_lists_every_defect(root: Path) -> None:
    good = run("--dataset-root", str(root), "--alphabet", "digits", "--check")
    assert good.exit_code == 0
    assert "train.txt: 8 of 8" in good.output
    assert "dev.txt: 8 of 8" in good.output
    with (root / "dev.txt").open("a") as file:
        file.write("dev_0.jpg\ngone.jpg 1\ndev_1.jpg 1 12\n")
    bad = run("--dataset-root", str(root), "--alphabet", "digits", "--check")
    assert bad.exit_code == 1
    assert [line.split(":")[1] for line in bad.stderr.splitlines()] == ["9", "10", "11"]
    assert not Path("runs").exists()


def test_check_sees_pictures_that_are_in_both_sets(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with (root / "dev.txt").open("a") as file:
        file.write("train_3.jpg 1\n")
    assert run("--dataset-root", str(root), "--alphabet", "digits", "--check").exit_code == 0
    (said,) = (each.getMessage() for each in caplog.records if each.levelname == "WARNING")
    assert said.startswith("1 of 9 pictures")


def test_pictures_may_be_elsewhere(root: Path, tmp_path: Path) -> None:
    (root / "images").rename(tmp_path / "pictures")
    options = ["--dataset-root", str(root), "--alphabet", "digits", "--check"]
    assert run(*options).exit_code == 2
    assert run(*options, "--image-root", str(tmp_path / "pictures")).exit_code == 0
    wrong = run(*options, "--image-root", "nowhere")
    assert (wrong.exit_code, wrong.stderr.count("\n")) == (2, 1)


def test_check_sees_what_is_not_there(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("dev_0.jpg", "dev_1.jpg"):
        path = root / "images" / name
        path.write_bytes(path.read_bytes()[:-100] if name == "dev_0.jpg" else b"")
    cut = run("--dataset-root", str(root), "--alphabet", "digits", "--check")
    assert cut.exit_code == 1
    assert "dev.txt:1: dev_0.jpg: " in cut.stderr
    assert "dev.txt:2: dev_1.jpg: " in cut.stderr
    (root / "dev.txt").unlink()
    alone = run("--dataset-root", str(root), "--alphabet", "digits", "--check")
    assert alone.exit_code == 0
    (record,) = caplog.records
    assert str(root) in record.getMessage()
    for content in ("", "gone.jpg 1\n"):
        (root / "train.txt").write_text(content)
        empty = run("--dataset-root", str(root), "--alphabet", "digits", "--check")
        assert empty.exit_code == 2
        assert_line(empty.stderr.splitlines()[-1], "train.txt")


def test_check_opens_what_is_mixed_in(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ["--dataset-root", str(root), "--alphabet", "digits", "--check"]
    assert run(*options, "--mix", "synth:digits=0.4").exit_code == 0
    for option, value in (("--mix", "synth:nothing=0.4"), ("--validate-on", "synth:nothing")):
        result = run(*options, option, value)
        assert result.exit_code == 2
        assert_line(result.stderr.rstrip("\n"), "'nothing'")
    monkeypatch.setattr(files, "system_fonts", list)
    lacking = run(*options[:3], "zh", "--check", "--mix", "synth:document=0.4")
    assert lacking.exit_code == 2
    assert_line(lacking.stderr.rstrip("\n"), "make fonts")


def test_opencv_is_silent(root: Path) -> None:
    before = cv2.utils.logging.getLogLevel()
    try:
        cv2.utils.logging.setLogLevel(3)
        run("--dataset-root", str(root), "--alphabet", "digits", "--check")
        assert cv2.utils.logging.getLogLevel() == 0
    finally:
        cv2.utils.logging.setLogLevel(before)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--alphabet", "digits"], "--synth"),
        (["--synth", "digits", "--arch", "nonet"], "'nonet'"),
        (["--dataset-root", "gone", "--alphabet", "digits"], "gone"),
        (["--dataset-root", "gone"], "--alphabet"),
        (["--synth", "digits", "--gpu-id", "99"], "GPU 99"),
        (["--synth", "digits", "--mix", "x"], "DATA=SHARE"),
        (["--synth", "digits", "--lr", "-1"], "--lr is -1.0"),
        (["--synth", "digits", "--test-only"], "--resume"),
        (["--synth", "digits", "--resume", "gone.pth"], "gone.pth"),
        (["--recipe", "gone"], "'gone'"),
        (["--check", "--synth", "digits"], "--dataset-root"),
    ],
)
def test_mistakes_are_one_line_and_status_2(arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert_usage_error(result, message)
    assert len(result.stderr.strip().splitlines()) == 1
    assert "Traceback" not in result.output


def test_a_recipe_gives_defaults_that_options_override(tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text(
        'arch = "lite"\nsynth = "digits"\nalphabet = "digits"\nlr = 0.5\nmax-epoch = 7\n'
    )
    result = run("--recipe", "my.toml", *TINY, "--directory", "out")
    assert result.exit_code == 0, result.output
    config = torch.load("out/last.pth", weights_only=True)["extra"]["config"]
    assert config["lr"] == 0.5
    entries = [json.loads(line) for line in Path("out/log.jsonl").read_text().splitlines()]
    assert {entry["step"] for entry in entries} == {2}, "one epoch of eight lines, not seven"


def test_a_recipe_trains_first_what_it_goes_on_from(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plain = 'arch = "lite"\nsynth = "digits"\nalphabet = "digits"\n'
    (tmp_path / "one.toml").write_text(f"{plain}lr = 0.01\n")
    (tmp_path / "two.toml").write_text(f'{plain}lr = 0.02\nafter = "one.toml"\n')
    command = ("--recipe", "two.toml", *TINY, "--directory", "out")
    for _ in range(2):  # the second time nothing is left to do
        result = run(*command)
        assert result.exit_code == 0, result.output
        rates = []
        for folder in ("out/one", "out"):
            extra = torch.load(f"{folder}/last.pth", weights_only=True)["extra"]
            rates.append(extra["config"]["lr"])
            assert extra["run"]["steps"] == 2
        assert rates == [0.01, 0.02]
    assert "out/one/best.pth: 10 " in caplog.text
    # With weights to begin with, that is all there is.
    result = run(*command[:-1], "alone", "--init", "out/best.pth")
    assert result.exit_code == 0, result.output
    assert not Path("alone/one").exists()
    result = run(*command, "--bundle", "x.tar.xz")
    assert result.exit_code == 2
    assert "one.toml" in result.output


def test_a_later_recipe_that_will_not_do_is_refused_before_the_first_trains(
    tmp_path: Path,
) -> None:
    plain = 'arch = "lite"\nsynth = "digits"\nalphabet = "digits"\n'
    (tmp_path / "one.toml").write_text(plain)
    for wrong, message in (
        ('mix = ["synth:gone=0.1"]', "'gone'"),
        ('arch = "gone"', "gone"),
    ):
        others = plain.replace('arch = "lite"\n', "") if wrong.startswith("arch") else plain
        (tmp_path / "two.toml").write_text(f'{others}after = "one.toml"\n{wrong}\n')
        result = run("--recipe", "two.toml", *TINY, "--directory", "out")
        assert result.exit_code == 2, result.output
        assert message in result.output
        assert not Path("out/one/last.pth").exists()


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ('precision = "bf17"', "fp32, bf16, fp16"),
        ('teacher_on = "foo"', "all, mix, main, none"),
        ('lr = "fast"', "'fast'"),
        ("batch_size = 4.5", "whole"),
        ("max_steps = true", "whole"),
        ("compile = 1", "true or false"),
        ("alphabet = 5", "text"),
        ("synth_options = 5", "table"),
        ('mix = "synth:latin=0.1"', "list"),
        ("mix = [0.3]", "list"),
        ("init = 5", "text"),
    ],
)
def test_a_value_that_no_option_takes_is_one_line(tmp_path: Path, line: str, wanted: str) -> None:
    (tmp_path / "my.toml").write_text(f"{line}\n")
    result = run("--recipe", "my.toml", "--synth", "digits")
    assert result.exit_code == 2

    assert_usage_error(result, "my.toml", line.split(maxsplit=1)[0], wanted)


def test_what_a_recipe_switches_on_an_option_switches_off(tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text('synth = "digits"\nglyph_start = true\n')
    first = run("--recipe", "my.toml", *TINY, "--no-glyph-start", "--directory", "out")
    assert first.exit_code == 0, first.output
    given = ("--recipe", "my.toml", *TINY, "--init", "out/best.pth", "--directory", "again")
    assert run(*given, "--no-glyph-start").exit_code == 0


def test_recipes_in_a_circle_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('after = "b.toml"\n')
    (tmp_path / "b.toml").write_text('after = "a.toml"\n')
    with refused("b.toml", "after"):
        recipes_before("a.toml")
    (tmp_path / "a.toml").write_text("after = 5\n")
    with refused("after", "5"):
        recipes_before("a.toml")
    assert recipes_before("zh-from-nothing-more") == ["zh-from-nothing"]
    (tmp_path / "below").mkdir()
    (tmp_path / "a.toml").rename(tmp_path / "below" / "a.toml")
    (tmp_path / "below" / "a.toml").write_text('after = "b.toml"\n')
    (tmp_path / "below" / "b.toml").write_text("")
    assert recipes_before("below/a.toml") == ["below/b.toml"]


def test_every_recipe_is_sound() -> None:
    assert "digits" in recipe_names()
    for name in recipe_names():
        assert load_recipe(name).keys() & {"arch", "init"}


def test_a_recipe_with_an_unknown_option_is_refused(tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text("learning-rate = 1\n")
    with pytest.raises(CrnnError, match="'learning_rate'"):
        load_recipe(str(tmp_path / "my.toml"))
    (tmp_path / "my.toml").write_text("lr = \n")
    with pytest.raises(CrnnError, match=r"my\.toml"):
        load_recipe(str(tmp_path / "my.toml"))


def test_the_alphabet_of_a_checkpoint_is_taken(tmp_path: Path) -> None:
    card = default_card("lite", Alphabet("9876543210"))
    save_checkpoint(tmp_path / "a.pth", build_model("lite", 11, 1), card)
    result = run("--synth", "digits", "--init", "a.pth", *TINY, "--directory", "out")
    assert result.exit_code == 0, result.output
    content = torch.load("out/last.pth", weights_only=True)
    assert json.loads(content["card"])["alphabet"] == "9876543210"


def test_help_does_not_wait_for_torch() -> None:
    code = "import sys, crnn.cli.train; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_synthetic_preset_brings_its_alphabet_and_a_wrong_one_is_named(tmp_path: Path) -> None:
    arguments = ["--gpu-id", "-1", "--directory", str(tmp_path / "run"), "--max-steps", "1"]
    small = ["--batch-size", "4", "--dev-lines", "4", "--synth-lines", "8", "--workers", "0"]
    result = CliRunner().invoke(main, ["--synth", "latin", *arguments, *small])
    assert result.exit_code == 0, result.output
    result = CliRunner().invoke(main, ["--synth", "dokument", *arguments])
    assert result.exit_code == 2
    assert "'dokument'" in result.stderr


def test_an_empty_alphabet_and_a_file_as_directory_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for options, message in (
        (["--alphabet", ""], "alphabet"),
        (["--directory", str(file)], f"--directory {file}: File exists"),
    ):
        result = CliRunner().invoke(main, ["--synth", "digits", *options])
        assert result.exit_code == 2
        assert message in result.output
