import os
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest
from refusals import assert_line, refused

from crnn.data.annotations import KINDS
from crnn.data.check import check, describe, right_to_left
from crnn.data.sizes import cache_file, measure
from crnn.model import default_card
from crnn.training.inputs import steps_of
from crnn_runtime.errors import CrnnError
from crnn_runtime.model.alphabet import Alphabet
from crnn_runtime.model.card import ModelCard


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def card() -> ModelCard:
    return default_card("lite", Alphabet("0123456789"))


def write_image(path: Path, width: int, height: int = 32) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    _, data = cv2.imencode(".png", np.full((height, width), 200, np.uint8))
    path.write_bytes(data.tobytes())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """One line of every defect, between two good ones."""
    root = tmp_path / "data"
    write_image(root / "images/good.png", 100)
    write_image(root / "beside é.png", 64, 16)
    write_image(root / "images/narrow.png", 16)
    write_image(root / "images/wide.png", 3000)
    write_image(root / "images/low.png", 100, 2)
    (root / "images/empty.png").touch()
    (root / "images/text.png").write_text("not an image")
    lines = [
        "good.png 1 2 3",
        "good.png 1 11",
        "gone.png 1",
        "good.png",
        "narrow.png 1 2 3 4 5 6",
        "empty.png 1",
        "text.png 1",
        "wide.png 1",
        "low.png 1",
        "beside é.png 5 5",
    ]
    (root / "train.txt").write_text("\n".join(lines) + "\n", "utf-8")
    return root


def test_every_defect_is_named_with_its_line(root: Path, card: ModelCard) -> None:
    data = check(root / "train.txt", card, steps_of(card))
    assert [(defect.line, defect.kind) for defect in data.defects] == [
        (2, "unknown-character"),
        (3, "missing-image"),
        (4, "no-label"),
        (5, "too-long"),
        (6, "unreadable-image"),
        (7, "unreadable-image"),
        (8, "too-wide"),
        (9, "unreadable-image"),
    ]
    assert all(str(defect).count("\n") == 0 for defect in data.defects)
    assert "needs 6" in data.defects[3].detail
    assert data.annotations.numbers.tolist() == [1, 10]
    assert data.widths.tolist() == [100, 128]
    assert [Path(path).name for path in data.paths] == ["good.png", "beside é.png"]


def test_one_line_of_every_kind_of_defect(root: Path, card: ModelCard) -> None:
    write_image(root / "images/large.png", 64)
    data = bytearray((root / "images/large.png").read_bytes())
    data[16:24] = (20000).to_bytes(4, "big") * 2
    (root / "images/large.png").write_bytes(data)
    lines = [
        b"good.png\t123",
        b"good.png\t\xff",
        b"good.png 123",
        b"good.png\t",
        "good.png\t1\u4e2d".encode(),
        b"gone.png\t1",
        b"text.png\t1",
        b"large.png\t1",
        b"wide.png\t1",
        b"narrow.png\t123456",
    ]
    (root / "all.tsv").write_bytes(b"\n".join(lines))
    data_set = check(root / "all.tsv", card, steps_of(card))
    found = [(defect.line, defect.kind) for defect in data_set.defects]
    assert found == list(enumerate(KINDS, start=2))
    described = "\n".join(describe(data_set, card))
    assert all(f"1 × {words}" in described for words in KINDS.values())


def test_defects_stop_a_run_unless_they_may_be_skipped(root: Path, card: ModelCard) -> None:
    data = check(root / "train.txt", card, steps_of(card))
    with pytest.raises(CrnnError, match=r"train\.txt:2: .*8 of 10 .*--skip-bad"):
        data.demand_good(skip_bad=False)
    data.demand_good(skip_bad=True)
    (root / "dev.txt").write_text("gone.png 1\n")
    nothing = check(root / "dev.txt", card, steps_of(card))
    with refused("dev.txt"):
        nothing.demand_good(skip_bad=True)


def test_repeats_need_a_step_between_them(root: Path, card: ModelCard) -> None:
    steps = steps_of(card)(16)
    fits = " ".join(str(1 + n % 2) for n in range(steps))
    (root / "train.txt").write_text(f"narrow.png {fits}\nnarrow.png {fits[:-1]}{fits[-3]}\n")
    data = check(root / "train.txt", card, steps_of(card))
    assert data.annotations.numbers.tolist() == [1]
    assert f"needs {steps + 1}" in data.defects[0].detail


def test_without_images_only_the_file_is_checked(root: Path, card: ModelCard) -> None:
    data = check(root / "train.txt", card, steps_of(card), images=False)
    assert [defect.line for defect in data.defects] == [2, 4]


def test_sizes_are_remembered_but_failures_are_tried_again(root: Path) -> None:
    cache = cache_file(root / "train.txt", root)
    images = ["good.png", "gone.png", "beside é.png"]
    first, failures = measure(images, root, cache=cache)
    assert first.tolist() == [[32, 100, 0], [0, 0, 0], [16, 64, 1]]
    assert list(failures) == [1]
    os.truncate(root / "beside é.png", 9)  # no picture any more, but as it was to the cache
    os.utime(root / "beside é.png", ns=(1, 1))
    rows = np.load(cache)
    rows[2, 3] = hash((1, 9))
    np.save(cache, rows)
    write_image(root / "images/gone.png", 77)
    second, failures = measure(images, root, cache=cache)
    assert second.tolist() == [[32, 100, 0], [32, 77, 0], [16, 64, 1]]
    assert not failures


def test_an_image_that_is_overwritten_or_gone_is_looked_at_again(root: Path) -> None:
    cache = cache_file(root / "train.txt", root)
    images = ["good.png", "beside é.png", "narrow.png"]
    measure(images, root, cache=cache)
    write_image(root / "images/good.png", 55)
    (root / "images/narrow.png").write_bytes(b"no image")
    (root / "beside é.png").unlink()
    table, failures = measure(images, root, cache=cache)
    assert table.tolist() == [[32, 55, 0], [0, 0, 0], [0, 0, 0]]
    assert [kind for kind, _ in failures.values()] == ["missing-image", "unreadable-image"]


def test_the_cache_forgets_when_the_folder_or_the_labels_change(root: Path) -> None:
    before = cache_file(root / "train.txt", root)
    os.utime(root / "images", ns=(1, 1))
    after = cache_file(root / "train.txt", root)
    (root / "train.txt").write_text("good.png 1\n")
    assert len({before, after, cache_file(root / "train.txt", root)}) == 3


def test_a_damaged_or_unwritable_cache_costs_only_time(root: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache.npy"
    cache.write_bytes(b"\x93NUMPY rubbish")
    assert measure(["good.png"], root, cache=cache)[0].tolist() == [[32, 100, 0]]
    blocked = root / "train.txt" / "cache.npy"
    assert measure(["good.png"], root, cache=blocked)[0].tolist() == [[32, 100, 0]]


def test_processes_measure_what_one_measures(root: Path) -> None:
    images = ["good.png", "gone.png", "text.png"] * 1500
    one, failures_one = measure(images, root, workers=1)
    two, failures_two = measure(images, root, workers=2)
    assert np.array_equal(one, two)
    assert failures_one == failures_two


def test_a_description_counts_characters_and_defects(root: Path, card: ModelCard) -> None:
    text = "\n".join(describe(check(root / "train.txt", card, steps_of(card)), card))
    assert "2 of 10 lines" in text
    assert f"3 × {KINDS['unreadable-image']}" in text
    assert "'code 11' × 1" in text
    assert "4 of 10 characters" in text
    assert "'4' 2" in text


def test_a_missing_end_is_seen_whatever_the_size(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 600), np.uint8)
    images = []
    for suffix in (".png", ".jpg"):
        for name, picture in (("small", noise[:32, :64]), ("large", noise)):
            data = cv2.imencode(suffix, picture)[1].tobytes()
            assert (len(data) > 65536) == (name == "large")
            for end, content in (
                ("whole", data),
                ("more", data + b"x" * 200),  # what some programs append
                ("cut", data[:-100]),
                ("nearly", data[:-1]),
            ):
                images.append(f"{name}-{end}{suffix}")
                (tmp_path / images[-1]).write_bytes(content)
    table, failures = measure(images, tmp_path)
    bad = {images[index] for index in failures}
    assert bad == {image for image in images if "cut" in image or "nearly" in image}
    assert {kind for kind, _ in failures.values()} == {"unreadable-image"}
    assert all("truncated" in detail for _, detail in failures.values())
    assert ((table[:, 0] == 0) == ["cut" in i or "nearly" in i for i in images]).all()


def test_a_huge_image_is_of_its_own_kind(tmp_path: Path, card: ModelCard) -> None:
    write_image(tmp_path / "a.png", 64)
    data = bytearray((tmp_path / "a.png").read_bytes())
    data[16:24] = (20000).to_bytes(4, "big") * 2
    (tmp_path / "a.png").write_bytes(data)
    (tmp_path / "train.txt").write_text("a.png 1\n")
    found = check(tmp_path / "train.txt", card, steps_of(card))
    assert [defect.kind for defect in found.defects] == ["too-large"]
    assert f"1 × {KINDS['too-large']}" in "\n".join(describe(found, card))


def test_a_path_that_swallowed_a_code_is_hinted_at(root: Path, card: ModelCard) -> None:
    (root / "train.txt").write_text("good.png 1 x 3\ngood.png 1.5\nmy line.png 1\ngood.png １\n")
    data = check(root / "train.txt", card, steps_of(card))
    details = [defect.detail for defect in data.defects]
    assert "'x'" in details[0]
    assert_line(details[1], "good.png 1.5", "'1.5'")
    assert "'line.png'" not in details[2]
    assert_line(details[3], "good.png １", "'１'")
    (root / "train.tsv").write_text("my line\t1\n")
    (text,) = check(root / "train.tsv", card, steps_of(card)).defects
    assert "'line" not in text.detail


@pytest.mark.parametrize(
    ("written", "where", "hint"),
    [
        ("{}.png", "crops", "--image-root"),
        ("rec/crops/{}.png", "crops", "without rec/"),
        ("rec\\{}.png", "rec", "write /"),
        ("{}.png", "elsewhere/deep/down", "looked for in"),
    ],
)
def test_many_missing_pictures_are_one_line_that_says_where_they_are(
    tmp_path: Path, card: ModelCard, written: str, where: str, hint: str
) -> None:
    for number in range(12):
        write_image(tmp_path / where / f"{number}.png", 64)
    file = tmp_path / "train.tsv"
    file.write_text("".join(f"{written.format(number)}\t1\n" for number in range(12)))
    data = check(file, card, steps_of(card))
    assert (len(data.defects), data.named) == (12, [])
    with pytest.raises(CrnnError) as caught:
        data.demand_good(skip_bad=False)
    message = str(caught.value)
    assert hint in message
    assert "12 of 12" in message
    assert "\n" not in message
    found = check(file, card, steps_of(card), root=tmp_path / "crops")
    assert bool(found.defects) == (hint != "--image-root")


def test_a_killed_process_ends_a_check_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by a system that is short of memory."""
    monkeypatch.setattr("crnn.data.sizes.CHUNK", 1)
    kill = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # noqa: E731
    monkeypatch.setattr("crnn.data.sizes._measure_one", kill)
    with pytest.raises(CrnnError, match="SIGKILL") as caught:
        measure(["a.png", "b.png", "c.png"], tmp_path, workers=2)
    assert "\n" not in str(caught.value)


def test_labels_that_run_from_right_to_left_are_counted(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", 100)
    (tmp_path / "train.tsv").write_text("a.png\tאב\na.png\t12\na.png\t1 ב\n", "utf-8")
    card = default_card("lite", Alphabet("12 אב"))
    data = check(tmp_path / "train.tsv", card, steps_of(card))
    assert right_to_left(data, card) == 2
    assert sum("visual order" in line for line in describe(data, card)) == 1
