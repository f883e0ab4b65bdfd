import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from crnn_runtime.errors import CrnnError
from tools.run_curve import draw_curve, main, read_log

ENTRIES = [
    {"step": 50, "loss": 3.0, "lr": 1e-3},
    {"step": 100, "loss": 1.0, "lr": 1e-3},
    {"step": 100, "validation": "dev", "exact": 0.5},
]


def test_a_log_becomes_a_picture(tmp_path: Path) -> None:
    log, picture = tmp_path / "log.jsonl", tmp_path / "curve.png"
    log.write_text("".join(json.dumps(entry) + "\n" for entry in ENTRIES), "utf-8")
    assert read_log(log) == ENTRIES
    main([str(log), str(picture)], standalone_mode=False)
    drawn = cv2.imread(str(picture))
    assert drawn is not None
    assert drawn.shape[1] == 630
    assert len(np.unique(drawn.reshape(-1, 3), axis=0)) > 20
    assert picture.stat().st_size < 100_000


def test_what_is_no_log_is_refused(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text('{"step": 1}\nstep 2\n', "utf-8")
    with pytest.raises(CrnnError, match=r"log\.jsonl:2"):
        read_log(log)
    with pytest.raises(CrnnError, match="gone"):
        read_log(tmp_path / "gone")
    with pytest.raises(CrnnError, match="no losses"):
        draw_curve(ENTRIES[2:], tmp_path / "curve.png")
