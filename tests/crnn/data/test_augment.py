import numpy as np
import pytest

from crnn.data.augment import Augment
from crnn.synth import Synthesizer

PICTURE = Synthesizer("digits", 1, fonts="packages").line(3).image


@pytest.mark.parametrize("image", [PICTURE, np.ascontiguousarray(PICTURE[:, :, 0])])
def test_pictures_change_but_stay_of_their_kind(image: np.ndarray) -> None:
    augment = Augment(1.0)
    seen = set()
    for seed in range(30):
        changed = augment(image, np.random.default_rng(seed))
        assert changed.dtype == np.uint8
        assert changed.ndim == image.ndim
        assert changed.shape[0] == image.shape[0]
        assert 0.85 <= changed.shape[1] / image.shape[1] <= 1.17
        assert changed.std() > 5, "the text must stay visible"
        seen.add(changed.tobytes())
    assert len(seen) == 30


def test_the_generator_decides_everything() -> None:
    augment = Augment(1.0)
    one, two = (augment(PICTURE, np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(one, two)


def test_only_a_share_is_changed() -> None:
    augment = Augment(0.3)
    same = [augment(PICTURE, np.random.default_rng(seed)) is PICTURE for seed in range(200)]
    assert 0.6 < np.mean(same) < 0.8
    assert Augment(0.0)(PICTURE, np.random.default_rng()) is PICTURE


@pytest.mark.parametrize("size", [(4, 1), (5, 400), (300, 6)])
def test_odd_sizes_do_no_harm(size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    for seed in range(20):
        assert Augment(1.0)(image, np.random.default_rng(seed)).shape[0] == size[0]
