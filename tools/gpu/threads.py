"""A process that reads with several threads at once, compares, and ends.

    python -m tools.gpu.threads ENGINE ONNX_FILE

Its exit is what is looked at as well: an engine is still open when it ends.
"""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from crnn_runtime.backends import open_backend
from crnn_runtime.decode.greedy import best_path
from tools.gpu.first import random_lines

THREADS, BATCHES = 8, 60
LEAST_EQUAL = 0.99
"""Share of time steps whose best class must be that of ONNX Runtime on the CPU."""
_SHAPES = ((1, 32), (3, 96), (8, 320), (1, 320), (16, 64), (2, 512))


def main(engine: str, onnx_file: str) -> int:
    """Compare; returns the exit status."""
    backend = open_backend(Path(engine))
    with open_backend(Path(onnx_file), "cpu") as reference:
        expected = {
            shape: best_path(reference.infer(random_lines(backend, *shape)))[0] for shape in _SHAPES
        }
    seen: set[int] = set()

    def read(number: int) -> tuple[int, int]:
        seen.add(threading.get_ident())
        shape = _SHAPES[number % len(_SHAPES)]
        ids, _ = best_path(backend.infer(random_lines(backend, *shape)))
        return int((ids == expected[shape]).sum()), ids.size

    with ThreadPoolExecutor(THREADS) as pool:
        counts = np.array(list(pool.map(read, range(BATCHES))))
    equal, total = counts.sum(axis=0)
    print(  # noqa: T201 - what the parent reads
        f"{BATCHES} batches in {len(seen)} threads, {equal / total:.2%} of {total} time steps "
        "as ONNX Runtime reads them"
    )
    return 0 if equal / total >= LEAST_EQUAL else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
