"""Whole pages on Triton: what is written to disk, and what a real server answers."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from tiny_detector import draw_page, write_bar_reader, write_detector
from triton_here import post

from crnn_benchmarks.cases.serving.http_load import infer_request
from crnn_export.cli.export import main
from crnn_runtime.cli.infer import main as infer
from crnn_serve.triton.local_server import TritonServer

OUTPUTS = ("page", "text", "error")
NAME = "reader-pages"
on_server = [
    pytest.mark.slow,
    pytest.mark.xdist_group("triton"),
    pytest.mark.usefixtures("triton"),
]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_bar_reader(folder / "reader.onnx")
    write_detector(folder / "det.onnx")
    return folder


def export(models: Path, repository: Path, *options: object) -> Path:
    """Export to a repository, and give the model's folder there."""
    found = run(models, "--to", "triton", repository, *options)
    assert found.exit_code == 0, found.output
    return repository / NAME


def run(models: Path, *options: object) -> Any:  # noqa: ANN401 (click's)
    return CliRunner().invoke(main, [str(models / "reader.onnx"), *map(str, options)])


def test_a_version_holds_reader_and_detector_and_its_config_the_options(
    models: Path, tmp_path: Path
) -> None:
    pages = ("--pages", "--detector", models / "det.onnx")
    folder = export(models, tmp_path, *pages)
    assert sorted(path.name for path in (folder / "1").iterdir()) == [
        "detector.onnx",
        "model.py",
        "reader.onnx",
    ]
    for key, value in {"side": "1280", "join": "0.0", "least": "0.5", "upright": "false"}.items():
        assert parameter(folder, key) == value
    # A later version leaves the config alone unless it is told options.
    (folder / "config.pbtxt").open("a").write("# mine\n")
    export(models, tmp_path, *pages)
    assert (folder / "config.pbtxt").read_text().endswith("# mine\n")
    export(models, tmp_path, *pages, "--side", 640, "--join", 2, "--least", 0, "--upright")
    for key, value in {"side": "640", "join": "2.0", "least": "0.0", "upright": "true"}.items():
        assert parameter(folder, key) == value
    # Lines of the same reader are another model.
    assert run(models, "--to", "triton", tmp_path).exit_code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["reader", NAME]


def parameter(folder: Path, key: str) -> str:
    (line,) = [
        line
        for line in (folder / "config.pbtxt").read_text().splitlines()
        if line.startswith(f'parameters {{ key: "{key}"')
    ]
    return line.split('"')[3]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--to", "onnx", "--pages"], "--pages"),
        (["--to", "trt", "--join"], "--join"),
        (["--to", "triton", "R", "--detector", "det.onnx"], "--detector"),
        (["--to", "triton", "R", "--side", "640"], "--side"),
        (["--to", "triton", "R", "--least", "0.1"], "--least"),
        (["--to", "triton", "R", "--pages", "--detector", "det.onnx", "--plain"], "--plain"),
        (["--to", "triton", "R", "--pages", "--detector", "det.onnx", "--turn", "auto"], "--turn"),
        (["--to", "triton", "R", "--pages", "--detector", "reader.onnx"], "reader.onnx"),
        (["--to", "triton", "R", "--pages", "--detector", "no.onnx"], "no.onnx"),
        (["--to", "triton", "R", "--pages", "--detector", "no.trt"], "no.trt"),
    ],
)
def test_mistakes_are_one_line_and_exit_with_2(
    options: list[str], named: str, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(models)
    result = run(models, *options)
    assert result.exit_code == 2, result.output
    assert named in result.output
    assert "Traceback" not in result.output
    assert not (models / "R").exists()


def test_a_detector_is_no_reader(models: Path, tmp_path: Path) -> None:
    arguments = [str(models / "det.onnx"), "--to", "triton", str(tmp_path / "R"), "--pages"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert "detector" in result.output
    assert not (tmp_path / "R").exists()


@pytest.fixture(scope="module")
def server(
    triton: None, models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TritonServer]:
    repository = tmp_path_factory.mktemp("served") / "models"
    pages = ("--pages", "--detector", models / "det.onnx")
    export(models, repository, *pages, "--instances", 2)
    export(models, repository, *pages, "--name", "broken")
    (repository / "broken" / "1" / "detector.onnx").unlink()
    # It does not wait for all its models, nor end if one cannot be loaded.
    options = ("--strict-readiness=false", "--exit-on-error=false")
    with TritonServer(repository, *options) as running:
        yield running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five pages: lines, upright and on their head, in two columns, none."""
    place = tmp_path_factory.mktemp("pages")
    columns = draw_page({(40, 30): "3141", (40, 90): "592", (370, 92): "65"})
    pictures = [
        columns,
        draw_page({(40, 30): "27", (40, 90): "18281", (40, 200): "8459"}),
        np.full((300, 400, 3), 255, np.uint8),
        np.rot90(columns, 2),
        draw_page({(100, 600): "1618"}, height=1500, width=1100),
    ]
    for number, picture in enumerate(pictures):
        cv2.imwrite(str(place / f"{number}.png"), picture)
    return place


def ask(server: TritonServer, pages: list[bytes]) -> dict[str, list[str]]:
    status, content = post(server, infer_request(NAME, pages, OUTPUTS))
    assert status == 200, content
    return {output["name"]: output["data"] for output in content["outputs"]}


def blurred(value: Any) -> Any:  # noqa: ANN401 (of JSON)
    """Without numbers that another OpenCV, in the server's Python, changes a little."""
    if isinstance(value, dict):
        return {key: blurred(each) for key, each in value.items()}
    if isinstance(value, list):
        return [blurred(each) for each in value]
    return ... if isinstance(value, float) else value


class TestServed:
    pytestmark = on_server

    def test_it_answers_what_crnn_infer_prints(
        self, server: TritonServer, models: Path, folder: Path
    ) -> None:
        given = [models / "reader.onnx", folder, "--page", "--detector", models / "det.onnx"]
        arguments = [str(each) for each in given]
        printed = CliRunner().invoke(infer, [*arguments, "--json"])
        assert printed.exit_code == 0, printed.output
        wanted = [json.loads(line) for line in printed.output.splitlines()]
        pages = [path.read_bytes() for path in sorted(folder.iterdir())]
        answer = ask(server, pages)
        assert answer["error"] == [""] * len(pages)
        found = [json.loads(page) for page in answer["page"]]
        assert [blurred(page) for page in found] == [
            blurred(page | {"path": ""}) for page in wanted
        ]
        for page, same in zip(found, wanted, strict=True):
            for name, apart in (("polygon", 0.5), ("confidence", 0.02), ("score", 0.02)):
                values = np.array([line[name] for line in same["lines"]])
                assert np.array([line[name] for line in page["lines"]]) == pytest.approx(
                    values, abs=apart
                )
        texts = [[line["text"] for line in page["lines"]] for page in found]
        assert texts[:3] == [["3141", "592", "65"], ["27", "18281", "8459"], []]
        assert [ask(server, [page])["page"] for page in pages] == [[one] for one in answer["page"]]
        printed = CliRunner().invoke(infer, arguments)
        assert answer["text"] == printed.output.removesuffix("\n\f").split("\n\f")

    def test_a_bad_picture_costs_its_own_page_only(
        self, server: TritonServer, folder: Path
    ) -> None:
        good = (folder / "0.png").read_bytes()
        url = b"data:image/png;base64," + base64.b64encode(good)
        bad = [b"", b"garbage", good[:200], url[:-1], bytes(65_000_000)]
        answer = ask(server, [good, *bad, url])
        assert [bool(error) for error in answer["error"]] == [False, *[True] * len(bad), False]
        pages = [json.loads(page) for page in answer["page"]]
        assert pages[0] == pages[-1]
        assert len(pages[0]["lines"]) == 3
        for page, error in zip(pages[1:-1], answer["error"][1:-1], strict=True):
            assert page["error"] == error
            assert page["lines"] == []

    def test_a_version_without_its_detector_is_not_served(self, server: TritonServer) -> None:
        status, _ = post(server, infer_request("broken", [b""], OUTPUTS))
        assert status == 404
        assert "broken/1" in server.log
