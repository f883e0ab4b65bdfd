"""A small data set of digits, as files."""

from pathlib import Path

import cv2

from crnn.synth import Synthesizer


def write_data_set(root: Path, count: int = 8, splits: tuple[str, ...] = ("train", "dev")) -> Path:
    """A folder as the original had it: codes from 1, pictures in ``images/``."""
    synthesizer = Synthesizer("digits", seed=9)
    (root / "images").mkdir(parents=True)
    for number, split in enumerate(splits):
        lines = []
        for index in range(count):
            sample = synthesizer.line(number * count + index)
            name = f"{split}_{index}.jpg"
            _, data = cv2.imencode(".jpg", cv2.cvtColor(sample.image, cv2.COLOR_RGB2BGR))
            (root / "images" / name).write_bytes(data.tobytes())
            lines.append(" ".join([name, *(str(1 + int(digit)) for digit in sample.text)]))
        (root / f"{split}.txt").write_text("\n".join(lines) + "\n")
    return root
