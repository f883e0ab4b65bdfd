"""Ray's processes are watched from a program whose threads come and go."""

import threading
import time

from crnn_serve.bulk.watch import watched


def test_threads_that_end_meanwhile_are_no_error() -> None:
    done = threading.Event()

    def start_short_ones() -> None:
        while not done.is_set():
            threading.Thread(target=time.sleep, args=(0.0002,)).start()

    starters = [threading.Thread(target=start_short_ones) for _ in range(2)]
    for each in starters:
        each.start()
    try:
        for _ in range(300):
            with watched():
                pass
    finally:
        done.set()
        for each in starters:
            each.join()
