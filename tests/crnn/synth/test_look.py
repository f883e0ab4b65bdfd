"""Looks in groups, and what each of the newer fields does to a line."""

import random
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from crnn.recipes import load_recipe
from crnn.synth import PRESETS, Sample, Synthesizer
from crnn.synth.picture.look import NEVER, Chance, Look
from crnn.synth.picture.looks import LOOKS
from crnn_runtime.errors import CrnnError
from crnn_runtime.model.alphabet import Alphabet

FLAT: dict[str, Any] = {
    "spacing": NEVER, "word_space": NEVER, "stretch": (1.0, 1.0), "crop": (0.2, 0.2),
    "sides": (0.2, 0.2), "grey": 1.0, "height": (40, 40),
}  # fmt: skip


def lines(count: int = 20, alphabet: str = "0123456789", **options: object) -> list[Sample]:
    synthesizer = Synthesizer(
        "digits", fonts="packages", look="plain", alphabet=Alphabet(alphabet), **(FLAT | options)
    )
    return [synthesizer.line(index) for index in range(count)]


def test_a_chance_is_drawn_as_often_as_it_says() -> None:
    rng = random.Random(1)
    drawn = [Chance(0.25, low=2, high=3).draw(rng) for _ in range(4000)]
    assert 900 < sum(value > 0 for value in drawn) < 1100
    assert all(value == 0 or 2 <= value <= 3 for value in drawn)
    assert NEVER.draw(rng) == 0


def test_a_look_is_changed_by_the_names_of_its_groups_fields() -> None:
    changed = Look().but(height=[20, 30], blur={"chance": 1, "low": 2, "high": 3}, jpeg=(1, 5, 9))
    assert changed.frame.height == (20, 30)
    assert changed.camera.blur == Chance(1, low=2, high=3)
    assert changed.camera.jpeg == Chance(1, low=5, high=9)
    assert changed.surface == Look().surface
    with pytest.raises(CrnnError):
        Look().but(wobble=1)


def test_presets_name_looks_that_exist() -> None:
    assert all(preset.looks.keys() <= LOOKS.keys() for preset in PRESETS.values())


def test_a_recipe_may_set_a_look_in_the_words_of_today_and_of_yesterday() -> None:
    options = load_recipe("digits")["synth_options"]
    today = Synthesizer("digits", **options)
    triples = {
        name: [value["chance"], value["low"], value["high"]]
        for name, value in options.items()
        if isinstance(value, dict) and "chance" in value
    }
    yesterday = Synthesizer("digits", **(options | triples))
    for index in range(5):
        assert np.array_equal(today.line(index).image, yesterday.line(index).image)


def ink(sample: Sample) -> npt.NDArray[np.float64]:
    grey = sample.image[:, :, 0].astype(float)
    return np.asarray(np.abs(grey - np.bincount(sample.image[:, :, 0].ravel()).argmax()))


def widths(samples: list[Sample]) -> list[float]:
    return [float(sample.boxes[-1, 2] - sample.boxes[0, 0]) for sample in samples]


def test_a_short_text_is_spread_and_a_long_one_is_not() -> None:
    near, far = lines(40), lines(40, spread=(1, 1, 1))
    for sample, one, other in zip(near, widths(near), widths(far), strict=True):
        if len(sample.text) > 6 or len(sample.text) == 1:
            assert other == pytest.approx(one, abs=1)
        else:
            assert other > one + 20 * (len(sample.text) - 1)


def test_a_gap_is_a_wide_space_and_one_character() -> None:
    near, far = (lines(40, alphabet=" 12", rare=1, gap=gap) for gap in (NEVER, (1, 3, 3)))
    texts = [sample.text for sample in near]
    assert texts == [sample.text for sample in far]
    for text, one, other in zip(texts, widths(near), widths(far), strict=True):
        assert (other > one + 60) == (" " in text)


def test_pressure_differs_from_character_to_character() -> None:
    def spread(samples: list[Sample]) -> float:
        found = []
        for sample in samples:
            shades = [
                ink(sample)[:, max(0, int(x0)) : int(x1) + 1].max() for x0, _, x1, _ in sample.boxes
            ]
            found.append(np.ptp(shades))
        return float(np.mean(found))

    assert spread(lines(pressure=(1, 0.6, 0.6))) > spread(lines()) + 25


def test_the_lines_above_and_below_are_seen_and_no_part_of_the_text() -> None:
    seen = 0
    for sample in lines(30, neighbours=(1, 0.3, 0.3), crop=(0.0, 0.0)):
        top, bottom = sample.boxes[:, 1].min(), sample.boxes[:, 3].max()
        beyond = np.vstack((ink(sample)[: max(0, int(top))], ink(sample)[int(bottom) + 1 :]))
        seen += beyond.max(initial=0) > 60
        assert len(sample.boxes) == len(sample.text)
    assert seen > 20


def test_pressed_characters_have_light_and_shadow() -> None:
    for sample in lines(10, emboss=(1, 150, 150)):
        grey = sample.image[:, :, 0].astype(int)
        paper = int(np.bincount(grey.ravel()).argmax())
        assert grey.min() < paper - 30
    dark = lines(10, emboss=(1, 150, 150), palette="led")
    assert any(
        line.image.max() > np.bincount(line.image[:, :, 0].ravel()).argmax() + 60 for line in dark
    )


def test_displays_show_the_segments_that_are_not_lit() -> None:
    fonts = Synthesizer("digits").fonts.faces
    segment = next((face.path for face in fonts if face.kind == "segment"), None)
    if segment is None:
        pytest.skip("no seven-segment font: make fonts")

    def shares(ghost: object) -> list[float]:
        synthesizer = Synthesizer(
            "digits", fonts=segment, look="plain", alphabet=Alphabet("1"), ghost=ghost, **FLAT
        )
        return [float((ink(synthesizer.line(index)) > 15).mean()) for index in range(5)]

    assert all(a > 1.5 * b for a, b in zip(shares((1, 0.3, 0.3)), shares(NEVER), strict=True))
