"""The network alone, for the server's own backends: names, types and shapes of its tensors."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from crnn_runtime.backends import INPUT_NAME, OUTPUT_NAMES
from crnn_runtime.errors import CrnnError, MissingDependencyError
from crnn_runtime.model.card import ModelCard
from crnn_runtime.model.engine_file import EngineRecord
from crnn_runtime.model.onnx_bytes import self_contained
from crnn_runtime.picture.preprocess import padded_width
from crnn_serve.triton.config import plain_config
from crnn_serve.triton.options import Placement, Serving

_TYPES = {
    "tensor(float)": "TYPE_FP32",
    "tensor(float16)": "TYPE_FP16",
    "tensor(int32)": "TYPE_INT32",
    "tensor(int64)": "TYPE_INT64",
}
_ENGINE_TYPES = {"ids": "TYPE_INT64", "topk_ids": "TYPE_INT64"}  # the others are TYPE_FP32
_WIDTHS = """\
#
# Width is free, but only requests of one width are read together: pad each line to a multiple
# of 32 pixels up to 512, of 64 up to 1024, of 128 up to 2048, so that widths meet. --bucket
# makes a model of each width instead, with a queue of its own.\
"""


@dataclasses.dataclass(frozen=True)
class Tensor:
    """An input or output without its batch; a size of -1 is free."""

    name: str
    kind: str
    dims: tuple[int, ...]

    def __str__(self) -> str:
        dims = ", ".join(map(str, self.dims))
        return f'  {{ name: "{self.name}" data_type: {self.kind} dims: [ {dims} ] }}'


def plain_models(
    name: str,
    model: Path,
    card: ModelCard,
    record: EngineRecord | None,
    serving: Serving,
    where: Placement,
) -> dict[str, str]:
    """Name → config.pbtxt: one, or one for each bucket.

    Raises:
        CrnnError: a bucket or batch that the network does not take.
    """
    inputs, outputs = _onnx_tensors(model) if record is None else _engine_tensors(card)
    backend, file = ("onnxruntime", "model.onnx") if record is None else ("tensorrt", "model.plan")
    configs = {}
    for width in serving.buckets or (None,):
        group = where.group
        if width is not None:
            _check_bucket(width, card)
        if record is not None:
            group += f"\n    profile: [ {_profiles(record, width, serving.max_batch)} ]"
        shaped = [
            dataclasses.replace(tensor, dims=(*tensor.dims[:-1], width or tensor.dims[-1]))
            for tensor in inputs
        ]
        notes = _WIDTHS if width is None else f"#\n# For lines padded to {width} pixels."
        full = name if width is None else f"{name}-w{width}"
        texts = (_listed(shaped), _listed(outputs))
        threads = where.threads if record is None and where.gpu is None else None
        configs[full] = plain_config(
            full, backend, file, texts, serving, group, threads=threads, notes=notes
        )
    return configs


def _listed(tensors: Sequence[Tensor]) -> str:
    return ",\n".join(map(str, tensors))


def _onnx_tensors(model: Path) -> tuple[list[Tensor], list[Tensor]]:
    """As the file itself says."""
    try:
        import onnxruntime  # noqa: PLC0415
    except ImportError as error:
        raise MissingDependencyError.of_extra("onnxruntime", "cpu") from error
    session = onnxruntime.InferenceSession(
        self_contained(model), providers=["CPUExecutionProvider"], enable_fallback=0
    )
    found = []
    for values in (session.get_inputs(), session.get_outputs()):
        tensors = []
        for value in values:
            if value.type not in _TYPES or isinstance(value.shape[0], int):
                raise CrnnError(
                    f"{model}: {value.name} is {value.type} {value.shape}: --plain serves tensors "
                    f"with a free batch of the types {', '.join(_TYPES)}"
                )
            dims = tuple(size if isinstance(size, int) else -1 for size in value.shape[1:])
            tensors.append(Tensor(value.name, _TYPES[value.type], dims))
        found.append(tensors)
    return found[0], found[1]


def _engine_tensors(card: ModelCard) -> tuple[list[Tensor], list[Tensor]]:
    """As engines of this project have them: nothing opens one without its GPU."""
    last = {"greedy": (), "topk": (-1,), "log-probs": (card.num_classes,)}[card.head]
    outputs = [
        Tensor(name, _ENGINE_TYPES.get(name, "TYPE_FP32"), (-1, *last))
        for name in OUTPUT_NAMES[card.head]
    ]
    width = card.width or -1
    return [Tensor(INPUT_NAME, "TYPE_FP32", (card.channels, card.height, width))], outputs


def _check_bucket(width: int, card: ModelCard) -> None:
    if card.width is not None and width != card.width:
        raise CrnnError(f"--bucket {width}: the network takes lines {card.width} wide, no others")
    if not card.min_width <= width <= card.max_width:
        raise CrnnError(
            f"--bucket {width}: the network takes widths of {card.min_width} to {card.max_width}"
        )
    if card.width is None and (fits := padded_width(card, width)) != width:
        raise CrnnError(
            f"--bucket {width}: lines are padded to widths such as {fits}, so none would fit"
        )


def _profiles(record: EngineRecord, width: int | None, max_batch: int) -> str:
    """The optimisation profiles of an engine that serve a width, all for None."""
    chosen = [
        (index, profile)
        for index, profile in enumerate(record.profiles)
        if width is None or width in profile.width
    ]
    built = "; ".join(map(str, record.profiles))
    if not chosen:
        raise CrnnError(f"--bucket {width}: the engine serves {built}")
    most = max(profile.batch.max for _, profile in chosen)
    if max_batch > most:
        raise CrnnError(f"--max-batch {max_batch}: the engine serves {built}")
    return ", ".join(f'"{index}"' for index, _ in chosen)
