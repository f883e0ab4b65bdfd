"""Reads lines for whoever asks: one peer, in its own Python, which need not have this project.

    python runner.py peer_rapidocr '{"threads": 1}'

The peer's file, beside this one, has ``open_reader(options)``, which gives a
function from a picture's path to its text and a few words about itself. Questions
come in and answers go out as JSON, one a line; `answer_questions` is that protocol
and the workers of `crnn_benchmarks` use it too.
"""

import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Answer = dict[str, Any]
Ask = Callable[[Answer], Answer]


def answer_questions(questions: dict[str, Ask]) -> None:
    """Answer until standard input ends.

    The standard output of libraries goes to standard error, out of the way.
    """
    channel = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        message = json.loads(line)
        try:
            answer = questions[message.pop("ask")](message)
        except Exception as error:  # whatever a peer raises is its row's problem
            first = (str(error).strip() or "no message").splitlines()[0]
            answer = {"error": f"{type(error).__name__}: {first}"}
        channel.write(json.dumps(answer) + "\n")


def peak_memory() -> int:
    """Bytes that this process held at most.

    Not ``ru_maxrss``: a process inherits that of its parent when it starts.
    """
    try:
        status = Path("/proc/self/status").read_text()
        kilobytes = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(kilobytes.split()[1]) << 10
    except (OSError, StopIteration):
        import resource  # noqa: PLC0415

        unit = 1 if sys.platform == "darwin" else 1 << 10
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


class _Session:
    """The questions that a peer answers."""

    def __init__(self, peer: str, options: dict[str, Any]) -> None:
        self.peer, self.options = peer, options
        self.read: Callable[[str], str] | None = None

    def open(self, _: Answer) -> Answer:
        """Load it; slow imports and missing packages show here."""
        file = Path(__file__).with_name(f"{self.peer}.py")
        spec = importlib.util.spec_from_file_location(self.peer, file)
        if spec is None or spec.loader is None:
            raise ImportError(f"no peer {self.peer}")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        self.read, about = module.open_reader(self.options)
        return {"about": about}

    def lines(self, message: Answer) -> Answer:
        """Read pictures one after the other; a line that fails is told, not fatal."""
        if self.read is None:
            raise RuntimeError("asked to read before it was opened")
        texts, failures, seconds, cpu = [], [], [], []
        for path in message["paths"]:
            start, start_cpu = time.perf_counter(), time.process_time()
            try:
                text = self.read(path)
                failures.append("")
            except Exception as error:  # see above
                text = ""
                failures.append(f"{type(error).__name__}: {error}".splitlines()[0])
            seconds.append(time.perf_counter() - start)
            cpu.append(time.process_time() - start_cpu)
            texts.append(text)
        return {"texts": texts, "failures": failures, "seconds": seconds, "cpu": cpu}

    def together(self, message: Answer) -> Answer:
        """Read pictures as a batch, where the peer has a way of its own for that."""
        if self.read is None:
            raise RuntimeError("asked to read before it was opened")
        read_all = getattr(self.read, "read_all", None)
        start, start_cpu = time.perf_counter(), time.process_time()
        texts = read_all(message["paths"]) if read_all else list(map(self.read, message["paths"]))
        seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
        return {"texts": texts, "seconds": seconds, "cpu": cpu}

    def memory(self, _: Answer) -> Answer:
        """Returns the memory that the peer took."""
        return {"bytes": peak_memory()}


def main() -> None:
    """Serve the peer named on the command line."""
    session = _Session(sys.argv[1], json.loads(sys.argv[2]))
    questions = {
        "open": session.open,
        "lines": session.lines,
        "together": session.together,
        "memory": session.memory,
    }
    answer_questions(questions)


if __name__ == "__main__":
    main()
