"""Reports with made-up figures, for tests of what becomes of them."""

import dataclasses

from crnn_benchmarks.harness.schema import (
    STAGES,
    Accuracy,
    DataSet,
    Latency,
    Machine,
    Model,
    Peak,
    Report,
    Throughput,
    Training,
)
from crnn_benchmarks.harness.stats import Interval, Quantiles

MACHINE = Machine(
    id="0123456789ab", cpu="Testing CPU", cpus=2, memory=8 << 30, system="Linux x", load=0.1
)
ARCHS = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta")


def about(value: float, spread: float = 0.05) -> Interval:
    """A figure with an interval."""
    return Interval(value, value * (1 - spread), value * (1 + spread))


def quantiles_about(value: float) -> Quantiles:
    """Medians with tails."""
    return Quantiles(200, about(value), about(value * 1.2), about(value * 1.5))


def latency_row(name: str, seconds: float, *, trained: bool = False, **changes: object) -> Latency:
    """A configuration that was measured."""
    row = Latency(
        model=Model(name=name, arch=name, trained=trained, classes=11, size=2_000_000),
        backend="onnxruntime", precision="fp32", batch=1, width=280, threads=1,
        stages={stage: quantiles_about(seconds / 4) for stage in STAGES},
        total=quantiles_about(seconds), cpu=about(seconds), flop=2e8, traffic=2e7, memory=10**8,
    )  # fmt: skip
    return dataclasses.replace(row, **changes)  # type: ignore[arg-type]


def accuracy_row(name: str, exact: float, cost: float) -> Accuracy:
    """A reader on a data set."""
    names = ("exact", "cer", "one_minus_ned")
    scores = {n + ending: about(exact, 0.02) for n in names for ending in ("", "_normalized")}
    return Accuracy(
        model=Model(name=name, arch=name, trained=True, size=10**7, sha256="ab"),
        backend="alone", precision="fp32", threads=1,
        data=DataSet(name="some_lines", lines=178, of=200, sha256="cd" * 32),
        scores=scores, seconds=about(cost), cpu=about(cost), memory=2 * 10**8,
    )  # fmt: skip


def full_report() -> Report:
    """A report with every kind of row."""
    latency = [latency_row(arch, 0.002 * 2**n) for n, arch in enumerate(ARCHS)]
    latency += [
        latency_row(arch, 0.003 * 2**n, backend="torch", precision="fp32")
        for n, arch in enumerate(ARCHS)
    ]
    for arch in ARCHS:
        latency += [latency_row(arch, 0.004 * width / 280, width=width) for width in (140, 560)]
        latency += [latency_row(arch, 0.003 * batch, batch=batch) for batch in (2, 4)]
    failed = latency_row("alpha", 1, backend="tensorrt")
    failed = dataclasses.replace(failed, stages={}, total=None, cpu=None, problem="no <GPU> here")
    model = Model(name="reader.onnx", arch="lite", trained=True, classes=11)
    return Report(
        command="crnn-bench everything --at once",
        created="2026-01-02T03:04:05+00:00",
        commit="abcdef",
        machine=MACHINE,
        versions={"python": "3.11"},
        yardstick=about(0.001),
        peaks=(
            Peak(library="onnxruntime", threads=1, flops=9e10, bandwidth=9e9),
            Peak(library="torch", threads=1, flops=8e10, bandwidth=9e9),
        ),
        latency=(*latency, failed),
        throughput=(
            Throughput(
                model=model, backend="onnxruntime", precision="fp32", batch=16, threads=2,
                data="folder", pictures=300, rate=about(500), cpu=about(0.002),
            ),
        ),
        accuracy=(
            accuracy_row("cheap and good", 0.9, 0.01),
            accuracy_row("dear and better", 0.95, 0.05),
            accuracy_row("dear and bad", 0.4, 0.04),
        ),
        training=(
            Training(
                model=Model(name="alpha", arch="alpha", trained=False, classes=11),
                precision="fp32", batch=8, width=280, threads=2, rate=about(60), cpu=about(0.03),
            ),
        ),
        notes=("made up",),
    )  # fmt: skip
