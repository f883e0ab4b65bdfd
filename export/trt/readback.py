"""Reads back from a built engine how TensorRT itself describes it.

Two sources give the types of an engine's layers: the engine inspector, which
needs a GPU because the engine must be loaded, and the list that the builder logs
when it has compiled the engine, which needs none.
"""

import dataclasses
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from math import prod
from typing import Any

from crnn_runtime.backends.tensorrt.library import LogLine
from crnn_runtime.errors import ModelError
from crnn_runtime.model.engine_file import Profile, Range

PRECISION_TYPES: Mapping[str, str] = {
    "fp32": "Float",
    "fp16": "Half",
    "bf16": "BFloat16",
    "int8": "Int8",
    "fp8": "FP8",
}
"""Precision → TensorRT's name of the type of its weights."""

_LAYERS = re.compile(r"^Layers:$", re.MULTILINE)
_COMPILED = re.compile(r"_myl(\d+)_")  # the group of layers that were compiled together
_OF_PROFILE = re.compile(r"\[profile (\d+)\]")
_CONSTANT = re.compile(
    r"Dimensions: \[([-\d,]*)\], Strides: \[[^]]*\], StrideOrder: \[[^]]*\], Datatype: (\w+)"
)
_CONSTANTS = re.compile(r"Constants: \[(.*?)\], Outputs: ")
_PROFILE = re.compile(r"MinShape: \[([\d,]+)\], OptShape: \[([\d,]+)\], MaxShape: \[([\d,]+)\]")
_ACTIVATIONS = re.compile(r"Total Activation Memory: (\d+)")
_BYTES = {"Half": 2, "BFloat16": 2, "Int8": 1, "FP8": 1}
_LEAST_SHARE = 0.05
_TOLERANCE = 0.9


@dataclasses.dataclass(frozen=True)
class EngineFacts:
    """The facts that were read back from a built engine.

    Attributes:
        evidence: ``inspector``, ``build log``, ``partial`` (see `weigh`) or ``none``.
        weights: elements of the layers' constants by TensorRT's type name. An engine has
            its layers once for each profile and their weights in memory once; of several
            profiles these are the weights of the one whose weights are widest.
        profiles: that the engine serves.
        activation_bytes: device memory for its largest shapes; 0 when not known.
    """

    evidence: str = "none"
    weights: Mapping[str, int] = dataclasses.field(default_factory=dict)
    profiles: tuple[Profile, ...] = ()
    activation_bytes: int = 0

    @property
    def precision(self) -> str:
        """The narrowest type with a real share of the weights; ``unknown`` if few were found.

        A reduced engine keeps some weights wide on purpose (biases, scales, a
        first or last layer), so the largest share would mislead.
        """
        total = 0 if self.evidence == "partial" else sum(self.weights.values())
        for precision in ("int8", "fp8", "fp16", "bf16", "fp32"):
            if total and self.weights.get(PRECISION_TYPES[precision], 0) >= _LEAST_SHARE * total:
                return precision
        return "unknown"


def from_build_log(lines: list[LogLine], input_name: str) -> EngineFacts:
    """Facts from what the builder logged at detailed verbosity, see the module's docstring."""
    text = "\n".join(message for _, message in lines)
    activations = max(map(int, _ACTIVATIONS.findall(text)), default=0)  # one a profile
    found = _LAYERS.search(text)
    if found is None:
        return EngineFacts(activation_bytes=activations)
    layers, _, tensors = text[found.end() :].partition("I/O Tensors:")
    weights = _widest((layer, _logged_constants(layer)) for layer in layers.splitlines())
    inputs = [line for line in tensors.splitlines() if line.startswith(f" Name: {input_name},")]
    shapes = [
        [[int(dim) for dim in shape.split(",")] for shape in profile]
        for profile in _PROFILE.findall("".join(inputs[:1]))
    ]
    profiles = tuple(profile_of(*shape) for shape in shapes)
    return EngineFacts("build log", weights, profiles, activations)


def from_engine(trt: Any, engine: Any, input_name: str) -> EngineFacts:  # noqa: ANN401
    """Facts from a loaded engine: needs the GPU that it was built for."""
    inspector = engine.create_engine_inspector()
    text = inspector.get_engine_information(trt.LayerInformationFormat.JSON)
    try:
        found = json.loads(text)
    except ValueError:  # of no use; the build's log may tell
        found = {}
    layers = found.get("Layers", []) if isinstance(found, dict) else found
    weights = _widest((json.dumps(layer), _constants(layer)) for layer in layers)
    profiles = tuple(
        profile_of(*map(list, engine.get_tensor_profile_shape(input_name, index)))
        for index in range(engine.num_optimization_profiles)
    )
    memory = getattr(engine, "device_memory_size_v2", 0)
    evidence = "inspector" if weights else "none"
    return EngineFacts(evidence, weights, profiles, int(memory))


def profile_of(least: list[int], best: list[int], most: list[int]) -> Profile:
    """Three shapes (N, C, H, W) as a profile."""
    return Profile(Range(least[0], best[0], most[0]), Range(least[3], best[3], most[3]))


def weigh(facts: EngineFacts, weights: Mapping[str, int]) -> EngineFacts:
    """The facts, marked as ``partial`` where less than half of the graph's weights were found.

    Not every release lists the weights of every layer; what is not listed proves nothing.

    Args:
        facts: read back.
        weights: elements of the ONNX file's weights by TensorRT's type name.
    """
    if facts.evidence == "none" or _total(facts.weights) >= _total(weights) / 2:
        return facts
    return dataclasses.replace(facts, evidence="partial")


def check_facts(
    facts: EngineFacts, precision: str, weights: Mapping[str, int], profiles: tuple[Profile, ...]
) -> None:
    """Compare the engine that was built with what was asked.

    Args:
        facts: read back from it.
        precision: that the model card states.
        weights: elements of the ONNX file's weights by TensorRT's type name.
        profiles: asked.

    Raises:
        ModelError: they differ.
    """
    if facts.profiles and facts.profiles != profiles:
        raise ModelError(
            f"the built engine serves {'; '.join(map(str, facts.profiles))}, "
            f"asked was {'; '.join(map(str, profiles))}"
        )
    if facts.evidence in ("none", "partial"):
        return
    if facts.precision != precision:
        raise ModelError(
            f"the built engine is {facts.precision} ({_in_words(facts)}), asked was {precision}: "
            "the ONNX file's weights decide, so export it again with that precision"
        )
    kind = PRECISION_TYPES[precision]
    found, expected = facts.weights[kind], weights.get(kind, 0)
    # TensorRT pads channels and folds what a graph holds twice, so one of the two may be
    # off; weights that were widened lower both.
    too_few = found < _TOLERANCE * expected
    too_small_a_share = found / _total(facts.weights) < _TOLERANCE * expected / _total(weights)
    if too_few and too_small_a_share:
        raise ModelError(
            f"the built engine has {found} weights in {precision} ({_in_words(facts)}), "
            f"the ONNX file {expected}: TensorRT widened the others"
        )


def _total(weights: Mapping[str, int]) -> int:
    return max(1, sum(weights.values()))


def _in_words(facts: EngineFacts) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in sorted(facts.weights.items()))


def _widest(layers: Iterable[tuple[str, Iterable[tuple[str, int]]]]) -> dict[str, int]:
    """Weights of the profile that has most bytes of them.

    Args:
        layers: TensorRT's words on each, and the type and size of its constants. If layers
            were compiled together, some of the group name their profile (from 1).
    """
    groups: dict[str, tuple[set[int], Counter[str]]] = {}
    for text, constants in layers:
        compiled, named = _COMPILED.search(text), _OF_PROFILE.search(text)
        group = compiled[0] if compiled else named[0] if named else ""
        profiles, weights = groups.setdefault(group, ({0}, Counter()))
        profiles.update(map(int, _OF_PROFILE.findall(text)))
        for kind, elements in constants:
            weights[kind] += elements
    by_profile: dict[int, Counter[str]] = {}
    for profiles, weights in groups.values():
        by_profile.setdefault(max(profiles), Counter()).update(weights)
    return dict(max(by_profile.values(), key=_bytes, default={}))


def _bytes(weights: Mapping[str, int]) -> int:
    return sum(count * _BYTES.get(kind, 4) for kind, count in weights.items())


def _logged_constants(layer: str) -> Iterator[tuple[str, int]]:
    for constants in _CONSTANTS.findall(layer):
        for dims, kind in _CONSTANT.findall(constants):
            yield kind, prod(int(dim) for dim in dims.split(",") if dim)


def _constants(node: object) -> Iterator[tuple[str, int]]:
    """Type and number of elements of every constant in the inspector's JSON.

    A layer gives ``"Weights": {"Type": "Half", "Count": 864}``, or a list
    ``"Constants"`` of tensors with ``Dimensions`` and ``Datatype``.
    """
    if isinstance(node, list):
        for item in node:
            yield from _constants(item)
    if not isinstance(node, dict):
        return
    weights = node.get("Weights")
    if isinstance(weights, dict) and "Type" in weights:
        yield str(weights["Type"]), int(weights.get("Count", 0))
    for tensor in node.get("Constants") or ():
        kind = tensor.get("Datatype") or tensor.get("Format/Datatype", "")
        yield _plain_type(str(kind)), prod(tensor.get("Dimensions", ()))
    for value in node.values():
        if isinstance(value, dict | list):
            yield from _constants(value)


def _plain_type(text: str) -> str:
    """``Row major linear FP16 format`` → ``Half``; a plain name stays."""
    spoken = {"FP32": "Float", "FP16": "Half", "BF16": "BFloat16", "INT8": "Int8", "FP8": "FP8"}
    return next((kind for word, kind in spoken.items() if word in text), text)
