import re
import sys
from pathlib import Path

import pytest
from fake_cuda import FakeCuda, stand_in
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused
from tiny_reader import tiny_card

from crnn_export.trt import options
from crnn_export.trt.options import (
    builds_for_this_gpu,
    check_precision,
    check_profiles,
    check_request,
    choose_flavour,
    default_profiles,
    normalise_targets,
    parse_profiles,
    profile_from_widths,
    widest_line,
)
from crnn_runtime import CrnnError, MissingDependencyError
from crnn_runtime.backends.tensorrt.library import is_installed, load_library
from crnn_runtime.errors import install_command
from crnn_runtime.model.engine_file import Flavour, Profile, Range
from crnn_runtime.picture.preprocess import padded_width, width_bucket

BATCH = Range(1, 8, 64)


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tensorrt", "tensorrt_rtx"):
        monkeypatch.setitem(sys.modules, name, None)


@pytest.mark.usefixtures("nothing_installed")
@pytest.mark.parametrize(
    ("flavour", "extras"),
    [("tensorrt", ["tensorrt"]), ("rtx", ["rtx"]), ("auto", ["tensorrt", "rtx"])],
)
def test_a_missing_library_names_what_to_install(flavour: str, extras: list[str]) -> None:
    with pytest.raises(MissingDependencyError) as error:
        choose_flavour(flavour)
    message = str(error.value)
    assert "\n" not in message
    assert all(install_command(extra) in message for extra in extras)


@pytest.mark.usefixtures("nothing_installed")
def test_loading_a_missing_library_names_the_extra() -> None:
    load_library.cache_clear()
    with pytest.raises(MissingDependencyError, match=re.escape(install_command("rtx"))):
        load_library("rtx")


def test_a_library_that_does_not_load_is_told_apart(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "tensorrt.py").write_text("import libnvinfer_that_is_missing\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    load_library.cache_clear()
    with refused("libnvinfer_that_is_missing", kind=MissingDependencyError):
        load_library("tensorrt")
    load_library.cache_clear()


@pytest.mark.parametrize("flavour", ["auto", "tensorrt"])
def test_a_driver_that_is_too_old_is_not_taken_for_a_missing_library(
    monkeypatch: pytest.MonkeyPatch, flavour: str
) -> None:
    monkeypatch.setattr(options, "is_installed", lambda each: each == "tensorrt")
    cuda = FakeCuda()
    cuda.driver = 12040
    with stand_in(monkeypatch, cuda), refused("12.4", kind=MissingDependencyError) as _:
        choose_flavour(flavour)


def test_an_unknown_flavour_is_refused() -> None:
    with refused("auto", "tensorrt", "rtx"):
        choose_flavour("trt")


def test_targets_belong_to_rtx() -> None:
    with pytest.raises(CrnnError, match="sm_86"):
        choose_flavour("tensorrt", ("sm_86",))
    if is_installed("rtx"):
        assert choose_flavour("auto", ("sm_86",)) == "rtx"


def test_without_a_gpu_auto_takes_the_flavour_that_builds_without() -> None:
    from crnn_runtime.backends.cuda_device import device_count

    if device_count() or not is_installed("rtx"):
        pytest.skip("this machine has a GPU, or no TensorRT for RTX")
    assert choose_flavour("auto") == "rtx"


@pytest.mark.parametrize("text", ["sm_89", "SM89", "8.9", "89", "sm89"])
def test_targets_are_read_in_all_spellings(text: str) -> None:
    assert normalise_targets([text, "8.6", text]) == ("sm_86", "sm_89")


@pytest.mark.parametrize(
    ("flavour", "targets", "precision", "good"),
    [
        ("rtx", ("sm_75",), "fp32", False),
        ("rtx", ("sm_75", "sm_86"), "bf16", False),
        ("rtx", ("sm_75",), "fp16", True),
        ("rtx", ("sm_86",), "fp32", True),
        ("rtx", (), "fp32", True),
        ("tensorrt", ("sm_75",), "fp32", True),
        ("tensorrt", (), "int8-cpu", False),
        ("rtx", (), "int8-cpu", False),
    ],
)
def test_precisions_that_an_engine_cannot_have_are_refused(
    flavour: Flavour, targets: tuple[str, ...], precision: str, good: bool
) -> None:
    if good:
        check_precision(flavour, targets, precision)
    else:
        with pytest.raises(CrnnError):
            check_precision(flavour, targets, precision)


@pytest.mark.parametrize(
    ("flavour", "targets", "gpu", "current"),
    [
        ("rtx", (), 86, True),
        ("rtx", (), 90, False),  # TensorRT for RTX does not name it
        ("rtx", ("sm_89",), 86, False),
        ("rtx", (), None, False),
        ("tensorrt", (), 86, False),
    ],
)
def test_rtx_builds_for_the_gpu_that_is_there(
    monkeypatch: pytest.MonkeyPatch,
    flavour: Flavour,
    targets: tuple[str, ...],
    gpu: int | None,
    current: bool,
) -> None:
    monkeypatch.setattr(options, "device_count", lambda: int(gpu is not None))
    monkeypatch.setattr(options, "capability", lambda _: gpu)
    assert builds_for_this_gpu(flavour, targets) == current


@pytest.mark.parametrize(("targets", "may_go"), [(("sm_75",), False), (("sm_75", "sm_86"), True)])
def test_the_only_target_cannot_be_left_out(targets: tuple[str, ...], may_go: bool) -> None:
    with pytest.raises(CrnnError) as error:
        check_precision("rtx", targets, "fp32")
    assert ("leave that target out" in str(error.value)) == may_go


def profile(least: int, best: int, most: int) -> Profile:
    return Profile(BATCH, Range(least, best, most))


def test_the_widest_profile_ends_where_the_model_does() -> None:
    check_profiles([profile(2048, 2048, 2048)], tiny_card(max_width=2000))  # 2000 is padded to it
    with pytest.raises(CrnnError, match=r"2048") as error:
        check_profiles([profile(32, 64, 128), profile(32, 320, 2049)], tiny_card(max_width=2000))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("card", "width"),
    [
        ({}, Range(32, 320, 2048)),
        ({"max_width": 8192}, Range(32, 320, 2048)),
        ({"max_width": 1000}, Range(32, 320, 1024)),
        ({"max_width": 20}, Range(32, 32, 32)),
        ({"width": 280}, Range(280, 280, 280)),
    ],
)
def test_the_default_serves_what_the_model_reads(card: dict[str, int], width: Range) -> None:
    found = default_profiles(tiny_card(**card), [Range(1, 1, 1), BATCH])
    assert found == (Profile(Range(1, 1, 1), width), Profile(BATCH, width))
    check_profiles(found, tiny_card(**card))


def test_widths_go_with_every_batch_and_pairs_stand_alone() -> None:
    one, many, width = Range(1, 1, 1), Range(2, 8, 64), Range(32, 320, 512)
    assert parse_profiles(["32:320:512"]) == [Profile(BATCH, width)]
    found = parse_profiles(["32:320:512", "4x1024", "64"], [one, many])
    assert found == [
        Profile(one, width),
        Profile(many, width),
        Profile(Range(4, 4, 4), Range(1024, 1024, 1024)),
        Profile(one, Range(64, 64, 64)),
        Profile(many, Range(64, 64, 64)),
    ]
    assert parse_profiles(["1:1:8x1024:1536:2048"], []) == [
        Profile(Range(1, 1, 8), Range(1024, 1536, 2048))
    ]
    with refused("1:1:1"):
        parse_profiles(["4x1024"], [one])


@pytest.mark.parametrize("text", ["", "x", "1x", "x32", "1x2x3", "8:4:2x32", "1:8", "a", "0x32"])
def test_a_profile_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(CrnnError):
        parse_profiles([text])


def test_what_needs_no_model_is_refused_without_one(tmp_path: Path) -> None:
    if not is_installed("rtx"):
        pytest.skip("no TensorRT for RTX")
    assert check_request("rtx", ["8.9", "sm_86"], 5, None) == ("rtx", ("sm_86", "sm_89"))
    with refused("6", "0..5"):
        check_request("rtx", [], 6, None)
    with refused("cache"):
        check_request("rtx", [], None, tmp_path / "cache")
    with pytest.raises(CrnnError, match="sm_86"):
        check_request("rtx", ["sm_90"], None, None)


def test_a_timing_cache_that_could_not_be_written_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(options, "choose_flavour", lambda *_: "tensorrt")
    assert check_request("tensorrt", [], None, tmp_path / "cache") == ("tensorrt", ())
    for path in (tmp_path, tmp_path / "gone" / "cache"):
        with refused(path):
            check_request("tensorrt", [], None, path)


def test_a_fixed_width_must_be_served() -> None:
    card = tiny_card(width=280)
    check_profiles([profile(280, 280, 280)], card)
    with pytest.raises(CrnnError, match="fixed width, 280"):
        check_profiles([profile(32, 64, 256)], card)
    with pytest.raises(CrnnError, match="fixed width, 280"):
        check_profiles([profile(320, 320, 512)], card)


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=50))
def test_a_profile_from_lines_serves_all_of_them(widths: list[int]) -> None:
    card = tiny_card()
    found = profile_from_widths(widths, card, BATCH)
    for width in widths:
        assert padded_width(card, min(width, card.max_width)) in found.width
    median = sorted(widths)[len(widths) // 2]
    assert found.width.opt <= width_bucket(min(median, card.max_width))


def test_a_profile_from_lines_of_a_fixed_width_is_that_width() -> None:
    assert profile_from_widths([7], tiny_card(width=280), BATCH) == profile(280, 280, 280)
    with pytest.raises(CrnnError, match="no line"):
        profile_from_widths([], tiny_card(), BATCH)


@given(st.integers(32, 5000))
def test_the_widest_line_fits_and_a_wider_one_does_not(limit: int) -> None:
    widest = widest_line([profile(1, 1, limit)])
    assert width_bucket(widest) <= limit < width_bucket(widest + 1)


def test_a_profile_below_the_narrowest_line_is_refused() -> None:
    with pytest.raises(CrnnError, match="allow 32"):
        widest_line([profile(1, 1, 31)])
