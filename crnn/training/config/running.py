"""Options for the place and the manner of a run: folders, devices, processes, reports."""

import dataclasses
from pathlib import Path
from typing import Annotated

from crnn.training.config.option import AT_LEAST_1, COUNT, FREE, Topic


@dataclasses.dataclass(frozen=True, kw_only=True)
class Running(Topic):
    """``directory`` takes checkpoints and logs; ``gpu`` is an index, None being the CPU."""

    directory: Annotated[
        Path, "Folder for checkpoints and logs.  [default: runs/, named by the options]", FREE
    ]
    resume: Annotated[
        Path | None,
        "Continue this run exactly; the same command does that by itself. With --test-only, any "
        "checkpoint.",
        FREE,
    ] = None
    fresh: Annotated[bool, "Start over in a directory that holds a run.", FREE] = False
    gpu: Annotated[
        int | None, "GPU to train on, -1 the CPU.  [default: 0 if there is one]", FREE
    ] = None
    threads: Annotated[int | None, "CPU threads.  [default: all allowed]", AT_LEAST_1, FREE] = None
    workers: Annotated[
        int, "Processes that load or draw lines.  [default: one per CPU, less one]", COUNT, FREE
    ] = 1
    seed: Annotated[int, "Seed of weights, order, synthesis and augmentation.", COUNT] = 0
    channels_last: Annotated[bool, "Memory layout of the network."] = True
    compile: Annotated[bool, "Let torch.compile fuse the network."] = False
    validate_interval: Annotated[int, "Epochs between validations.", AT_LEAST_1, FREE] = 1
    validate_steps: Annotated[int, "Steps between further validations; 0 is none.", COUNT, FREE] = 0
    save_interval: Annotated[
        int, "Epochs between numbered checkpoints, beside best.pth and last.pth; 0 is none.",
        COUNT, FREE,
    ] = 0  # fmt: skip
    save_steps: Annotated[
        int, "Steps between saves of last.pth; 0: at epoch ends.", COUNT, FREE
    ] = 0
    print_freq: Annotated[int, "Steps between log lines.", AT_LEAST_1, FREE] = 50
    tensorboard: Annotated[bool, "Write curves and pictures for TensorBoard, too.", FREE] = False
