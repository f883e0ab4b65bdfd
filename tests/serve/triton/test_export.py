"""Repositories are written to disk; no server is needed."""

import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner
from refusals import assert_usage_error

from crnn_export.cli.export import main
from crnn_runtime import CrnnError
from crnn_runtime.backends import open_backend
from crnn_runtime.cpu import available_cpus
from crnn_runtime.picture.preprocess import padded_width
from crnn_runtime.readers import reader_names, reader_path
from crnn_serve.triton import Serving, write_model
from crnn_serve.triton.options import place


def run(*arguments: object) -> str:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("name", reader_names())
def test_a_shipped_reader_is_exported_by_name(name: str, tmp_path: Path) -> None:
    output = run(name, "--to", "triton", tmp_path / "models")
    folder = tmp_path / "models" / name
    assert f"Wrote {folder / '1'}" in output
    assert f"--model-repository={tmp_path / 'models'}" in output
    assert sorted(path.name for path in (folder / "1").iterdir()) == ["model.py", "reader.onnx"]
    assert (folder / "1" / "reader.onnx").read_bytes() == reader_path(name).read_bytes()
    config = (folder / "config.pbtxt").read_text()
    assert f'name: "{name}"' in config
    assert f"count: {min(8, available_cpus())}" in config
    assert [path.name for path in tmp_path.iterdir()] == ["models"]


def test_neither_torch_nor_onnx_is_needed(tmp_path: Path) -> None:
    code = (
        "import sys\nfor name in ('torch', 'onnx', 'torchvision'): sys.modules[name] = None\n"
        "from crnn_export.cli.export import main\n"
        f"main(['digits', '--to', 'triton', {str(tmp_path)!r}])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_later_exports_add_versions_and_leave_an_edited_config_alone(tmp_path: Path) -> None:
    run("digits", "--to", "triton", tmp_path)
    config = tmp_path / "digits" / "config.pbtxt"
    config.write_text(config.read_text() + "# mine\n")
    assert "config.pbtxt was kept" in run("digits", "--to", "triton", tmp_path)
    assert config.read_text().endswith("# mine\n")
    # The same tensors in other words are no others.
    text = config.read_text()
    config.write_text(
        text.replace(
            '{ name: "confidence" data_type: TYPE_FP32 dims: [ 1 ] }',
            '{\n    data_type: TYPE_FP32\n    dims: [1]\n    name: "confidence"\n  }',
        )
    )
    assert config.read_text() != text
    assert "config.pbtxt was kept" in run("digits", "--to", "triton", tmp_path)
    assert "was replaced" in run("digits", "--to", "triton", tmp_path, "--max-batch", 16)
    assert "max_batch_size: 16" in config.read_text()
    assert sorted(path.name for path in config.parent.iterdir()) == [
        "1",
        "2",
        "3",
        "4",
        "config.pbtxt",
    ]


def test_exports_at_the_same_time_get_numbers_of_their_own(tmp_path: Path) -> None:
    threads = [
        threading.Thread(target=write_model, args=("digits", tmp_path / "r", Serving()))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names = {path.name for path in (tmp_path / "r" / "digits").iterdir()}
    assert names == {*"12345678", "config.pbtxt"}
    assert all(
        len(list((tmp_path / "r" / "digits" / number).iterdir())) == 2 for number in "12345678"
    )


@pytest.mark.parametrize("earlier", [0, 1])
def test_an_export_that_fails_leaves_no_version(
    earlier: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = tmp_path / "models"
    for _ in range(earlier):
        write_model("digits", models, Serving())
    before = sorted(tmp_path.rglob("*"))

    def full(source: Path, target: Path) -> None:
        target.write_bytes(source.read_bytes()[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(CrnnError, match="No space left on device"):
        write_model("digits", models, Serving())
    assert sorted(tmp_path.rglob("*")) == (before or [models])


def test_a_network_alone_has_the_files_names_types_and_shapes(tmp_path: Path) -> None:
    run("digits", "--to", "triton", tmp_path, "--plain", "--bucket", 64, "--bucket", 320)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["digits-w320", "digits-w64"]
    config = (tmp_path / "digits-w320" / "config.pbtxt").read_text()
    assert '"images" data_type: TYPE_FP32 dims: [ 3, 40, 320 ]' in config
    assert '"log_probs" data_type: TYPE_FP32 dims: [ -1, 11 ]' in config
    run("digits", "--to", "triton", tmp_path, "--plain", "--name", "all")
    assert "dims: [ 3, 40, -1 ]" in (tmp_path / "all" / "config.pbtxt").read_text()
    assert (tmp_path / "all" / "1" / "model.onnx").read_bytes() == reader_path(
        "digits"
    ).read_bytes()


def test_instances_and_threads_share_the_processors() -> None:
    cpus = available_cpus()
    assert place(Serving(), Path("x"), "onnx").threads == max(1, cpus // min(8, cpus))
    assert place(Serving(instances=1), Path("x"), "onnx").threads == cpus
    on_gpu = place(Serving(device="cuda:1"), Path("x"), "onnx")
    assert "kind: KIND_GPU" in on_gpu.group
    assert "gpus: [ 1 ]" in on_gpu.group
    assert place(Serving(), Path("x"), "engine").gpu == 0


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_on_a_gpu_every_width_that_the_runtime_pads_to_is_read_first(
    device: str, tmp_path: Path
) -> None:
    write_model("digits", tmp_path, Serving(name="digits", device=device))
    config = (tmp_path / "digits" / "config.pbtxt").read_text()
    (found,) = re.findall(r'"warmup_widths" value \{ string_value: "([\d,]+)" \}', config)
    widths = {int(width) for width in found.split(",")}
    card = open_backend("digits").card
    padded = {padded_width(card, width) for width in range(1, 1025)}
    assert widths <= padded
    assert len(widths) == (1 if device == "cpu" else len(padded))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--to", "triton"], "MODEL --to triton REPO"),
        (["digits", "--to", "triton"], "MODEL --to triton REPO"),
        (["digits", "--to", "triton", "R", "--head", "topk"], "--head"),
        (["digits", "--instances", "2"], "--instances"),
        (["digits", "other", "--to", "trt"], "other"),
        (["no.onnx", "--to", "triton", "R"], "no.onnx"),
        (["x.pth", "--to", "triton", "R"], "x.pth"),
        (["digits", "--to", "triton", "R", "--max-batch", "0"], "--max-batch 0"),
        (["digits", "--to", "triton", "R", "--max-batch", "99999999999"], "1 to 4096"),
        (["digits", "--to", "triton", "R", "--max-queue", "9999999999999"], "--max-queue 9999"),
        (["digits", "--to", "triton", "R", "--instances", "100000"], "1 to 256"),
        (["digits", "--to", "triton", "R", "--queue-delay", "-1"], "--queue-delay -1"),
        (["digits", "--to", "triton", "R", "--device", "tpu"], "--device tpu"),
        (["digits", "--to", "triton", "R", "--bucket", "64"], "--bucket"),
        (["digits", "--to", "triton", "R", "--plain", "--bucket", "9999"], "--bucket 9999"),
        (["digits", "--to", "triton", "R", "--plain", "--bucket", "100"], "such as 128"),
        (["digits", "--to", "triton", "R", "--name", "a/b"], "--name 'a/b'"),
        (["digits", "--to", "triton", "file"], "file"),
        (["digits", "--to", "triton", "plain"], "'onnxruntime', not 'python'"),
        (["digits", "--to", "triton", "odd"], "config.pbtxt"),
        (["digits", "--to", "triton", "other"], "inputs and outputs"),
        (["broken.onnx", "--to", "triton", "R"], "broken.onnx"),
        (["broken.trt", "--to", "triton", "R"], "broken.trt"),
    ],
)
def test_mistakes_are_one_line_and_exit_with_2(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("file", "broken.onnx", "broken.trt"):
        Path(name).write_text("nothing")
    write_model("digits", Path("plain"), Serving(plain=True))
    (Path("odd") / "digits").mkdir(parents=True)
    write_model("digits", Path("other"), Serving())
    config = Path("other", "digits", "config.pbtxt")
    config.write_text(config.read_text().replace('name: "image"', 'name: "INPUT0"'))
    result = CliRunner().invoke(main, arguments)
    assert_usage_error(result, message)
    assert not list(tmp_path.glob("R/*"))


def test_a_model_for_the_cpu_gets_no_version_for_the_gpu_unasked(tmp_path: Path) -> None:
    write_model("digits", tmp_path, Serving())
    with pytest.raises(CrnnError, match=r"KIND_GPU: .*--device cuda"):
        write_model("digits", tmp_path, Serving(device="cuda"))
    (written,) = write_model("digits", tmp_path, Serving(device="cuda"), replace_config=True)
    assert written.config == "replaced"
    assert "KIND_GPU" in (tmp_path / "digits" / "config.pbtxt").read_text()
