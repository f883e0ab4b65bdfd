"""Ray, kept quiet and to itself: a cluster of this machine, or one that is named."""

import logging
import os
import re
import secrets
import socket
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from crnn_runtime.cpu import available_cpus
from crnn_runtime.errors import CrnnError
from crnn_runtime.picture.messages import DecoderMessages
from crnn_serve.bulk.parts import Count
from crnn_serve.bulk.store import one_line
from crnn_serve.bulk.watch import watched
from crnn_serve.bulk.worker import Job, Outcome, Worker

_LEAST_STORE = 80_000_000  # bytes: Ray takes no less than 75 MiB
_RETRIES = 3
"""Times that a part is begun again after its worker died. A machine that Ray knows to be
taken away does not count."""
_HOST_AND_PORT = re.compile(r"\[?(?P<host>[^/\[\]]+)\]?:(?P<port>\d{1,5})")
_REACH_SECONDS = 10
_BLOCKS = 2000
"""Blocks of parts that Ray Data keeps books of, at most: each costs its driver about 1 ms
and 10 KB. A block of several parts is repeated without those that are written."""

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # telemetry
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # or it warns that it will be so
}
_ALONE = {
    # Where Ray takes a machine for one that cannot be in a cluster, all that listens is on
    # the loopback; the name of the switch tells what it was made for.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "token",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Workers:
    """The user's options for a cluster.

    Attributes:
        address: of a running cluster, ``auto`` for the one that this machine belongs to;
            None starts one here.
        number: of workers; None is as many as there is room for.
        threads: CPU threads of each.
        gpus: of each.
    """

    address: str | None
    number: int | None
    threads: int
    gpus: int


@contextmanager
def ray_cluster(wanted: Workers, most: int, store_bytes: int) -> Iterator[Workers]:
    """Ray while it is needed; gives what was wanted with the number of workers.

    Args:
        wanted: see `Workers`.
        most: workers that there is something to do for.
        store_bytes: of what will be put into the object store.

    Raises:
        CrnnError: Ray cannot be started or reached, or has no room for one worker.
    """
    # What libraries in C write to standard error is not for the user: Ray's tells of its
    # own workings there.
    with (
        tempfile.TemporaryDirectory(prefix="crnn-ray-", ignore_cleanup_errors=True) as folder,
        DecoderMessages(),
        Path(os.devnull).open("w") as nowhere,
        redirect_stdout(nowhere),  # the deaths of workers, which are no news
    ):
        ray = _start(wanted, most, max(_LEAST_STORE, 2 * store_bytes), folder)
        try:
            room = _room(wanted, ray.cluster_resources())
            with watched():
                yield replace(wanted, number=min(most, wanted.number or room))
        finally:
            ray.shutdown()


def _start(wanted: Workers, most: int, store_bytes: int, folder: str) -> Any:  # noqa: ANN401
    os.environ.update(_QUIET)
    if wanted.address is None:
        os.environ.update(_ALONE, RAY_AUTH_TOKEN=secrets.token_hex(32))
    elif found := _HOST_AND_PORT.fullmatch(wanted.address):
        _check_reachable(found["host"], int(found["port"]))
    import ray  # noqa: PLC0415 (the extra; reads its environment when it is imported)

    options: dict[str, Any] = {"address": wanted.address}
    if wanted.address is None:
        fitting = max(1, available_cpus() // wanted.threads)
        options = {
            "address": "local",  # never that of RAY_ADDRESS
            "num_cpus": min(most, wanted.number or fitting) * wanted.threads,
            "include_dashboard": False,
            "object_store_memory": store_bytes,
            "_temp_dir": folder,
        }
        if not wanted.gpus:
            options["num_gpus"] = 0  # or it looks for some
    try:
        ray.init(**options, log_to_driver=False, logging_level=logging.CRITICAL)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        doing = "start Ray" if wanted.address is None else f"reach Ray at {wanted.address}"
        raise CrnnError(f"cannot {doing}: {one_line(error)}") from error
    return ray


def _check_reachable(host: str, port: int) -> None:
    """Ray itself would wait for minutes without a word."""
    try:
        socket.create_connection((host, port), _REACH_SECONDS).close()
    except (OSError, OverflowError, UnicodeError) as error:  # of a name that cannot be one
        raise CrnnError(
            f"cannot reach Ray at {host}:{port}: {one_line(error)}; is it the address of the head, "
            "and has Ray been started there (ray start --head --port PORT)?"
        ) from error


def _room(wanted: Workers, resources: dict[str, float]) -> int:
    """Workers that a cluster has room for."""
    rooms = [int(resources.get("CPU", 0)) // wanted.threads]
    if wanted.gpus:
        rooms.append(int(resources.get("GPU", 0)) // wanted.gpus)
    if min(rooms) < 1:
        raise CrnnError(
            f"Ray has {resources.get('CPU', 0):.0f} CPUs and {resources.get('GPU', 0):.0f} GPUs, "
            f"a worker needs {wanted.threads} and {wanted.gpus}: choose another --threads or "
            "--device"
        )
    return min(rooms)


def run_parts(job: Job, parts: Sequence[int], workers: Workers) -> Iterator[Outcome]:
    """Have parts read by a pool of workers, in whatever order they are done.

    Within `ray_cluster`. A part whose workers died too often has no outcome.

    Raises:
        CrnnError: the workers cannot be started, or Ray came to an end.
    """
    import ray  # noqa: PLC0415 (the extra)
    import ray.data  # noqa: PLC0415

    quieten(ray.data.DataContext.get_current())
    job = replace(job, reader=ray.put(job.reader))
    blocks = min(len(parts), _BLOCKS)
    todo = ray.data.from_items([{"part": part} for part in parts], override_num_blocks=blocks)
    with warnings.catch_warnings():
        # Gone with Ray 2.64, and nothing takes its place yet: hence the bound in setup.cfg.
        warnings.simplefilter("ignore", ray.util.annotations.RayDeprecationWarning)
        done = todo.map_batches(
            Worker,
            fn_constructor_args=(job,),
            batch_size=1,
            batch_format="numpy",
            compute=ray.data.ActorPoolStrategy(size=workers.number),
            num_cpus=workers.threads,
            num_gpus=workers.gpus,
            # Without an end Ray would try a picture that kills its worker again and again.
            ray_remote_args_fn=lambda: {"max_task_retries": _RETRIES},
        )
    try:
        for batch in done.iter_batches(batch_size=None, batch_format="numpy", prefetch_batches=0):
            yield from _outcomes(batch)
    except (RuntimeError, ray.exceptions.RayError) as error:
        reason = (str(error).strip().splitlines() or [repr(error)])[-1].strip('"')
        if "ModuleNotFoundError" in reason:
            reason += ": every machine needs this version with the extra bulk"
        raise CrnnError(f"Ray came to an end: {reason}") from error


def _outcomes(batch: dict[str, Any]) -> Iterator[Outcome]:
    columns = {name: values.tolist() for name, values in batch.items()}
    for values in zip(*columns.values(), strict=True):
        row = dict(zip(columns, values, strict=True))
        count = Count(row.pop("lines"), row.pop("unread"))
        yield Outcome(count=count, **row)


def quieten(context: Any) -> None:  # noqa: ANN401
    """No bars and no log on the terminal, and no end while others go on."""
    context.print_on_execution_start = False
    context.enable_progress_bars = False
    context.execution_no_progress_timeout_s = -1  # a part takes as long as it takes
    context.max_errored_blocks = -1  # a part that kills its workers is named in the end
    context.max_consecutive_actor_init_deaths = _RETRIES
    warnings.filterwarnings("ignore", module=r"ray\.")
    logging.getLogger("ray.data").setLevel(logging.CRITICAL + 1)
