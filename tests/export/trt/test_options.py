import re
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_reader import tiny_card

from crnn_export.trt.options import (
    check_profiles,
    choose_flavour,
    normalise_targets,
    profile_from_widths,
    widest_line,
)
from crnn_runtime import CrnnError, MissingDependencyError
from crnn_runtime.backends.tensorrt_library import is_installed, load_library
from crnn_runtime.engine_file import Profile, Range
from crnn_runtime.errors import install_command
from crnn_runtime.preprocess import padded_width, width_bucket

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
    with pytest.raises(MissingDependencyError, match="installed but does not load"):
        load_library("tensorrt")
    load_library.cache_clear()


def test_an_unknown_flavour_is_refused() -> None:
    with pytest.raises(CrnnError, match="auto, tensorrt, rtx"):
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


def profile(least: int, best: int, most: int) -> Profile:
    return Profile(BATCH, Range(least, best, most))


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
