import pytest

from crnn_export.trt.readback import EngineFacts, check_facts, from_build_log, from_engine, weigh
from crnn_runtime import ModelError
from crnn_runtime.model.engine_file import Profile, Range

PROFILES = (Profile(Range(1, 2, 4), Range(32, 64, 128)),)


def facts(**weights: int) -> EngineFacts:
    return EngineFacts("inspector", weights, PROFILES)


@pytest.mark.parametrize(
    ("weights", "precision"),
    [
        ({"Float": 1000}, "fp32"),
        ({"Float": 40, "Half": 960}, "fp16"),
        ({"Float": 10, "BFloat16": 990}, "bf16"),
        ({"Float": 10, "Half": 700, "Int8": 290}, "int8"),
        ({"Half": 700, "FP8": 300}, "fp8"),
        ({"Float": 990, "Half": 10}, "fp32"),
        ({}, "unknown"),
        ({"Int32": 5}, "unknown"),
    ],
)
def test_the_precision_is_the_narrowest_with_a_real_share(
    weights: dict[str, int], precision: str
) -> None:
    assert facts(**weights).precision == precision


@pytest.mark.parametrize(
    ("built", "asked", "onnx", "expected"),
    [
        ({"Float": 1000}, "fp16", {"Half": 1000}, "fp32 .*fp16"),
        ({"Half": 1000}, "fp32", {"Float": 1000}, "fp16 .*fp32"),
        ({"Float": 400, "Half": 600}, "fp16", {"Half": 1000}, "600 .*fp16 .*1000"),
        ({"Half": 800, "Int8": 200}, "int8", {"Half": 500, "Int8": 500}, "widened"),
        ({}, "fp32", {"Float": 1000}, "is unknown"),
    ],
)
def test_an_engine_that_is_not_what_was_asked_is_an_error(
    built: dict[str, int], asked: str, onnx: dict[str, int], expected: str
) -> None:
    with pytest.raises(ModelError, match=expected):
        check_facts(facts(**built), asked, onnx, PROFILES)


@pytest.mark.parametrize(
    ("built", "asked", "onnx"),
    [
        ({"Float": 1100}, "fp32", {"Float": 1000}),  # padded channels
        ({"BFloat16": 500}, "bf16", {"BFloat16": 900}),  # weights that the graph held twice
        ({"Half": 900, "Int8": 500}, "int8", {"Half": 500, "Int8": 500}),
    ],
)
def test_what_tensorrt_pads_and_folds_is_no_error(
    built: dict[str, int], asked: str, onnx: dict[str, int]
) -> None:
    check_facts(facts(**built), asked, onnx, PROFILES)


def test_other_profiles_are_an_error() -> None:
    with pytest.raises(ModelError, match=r"1:2:4, .*1:1:1"):
        check_facts(facts(Float=1), "fp32", {}, (Profile(Range(1, 1, 1), Range(32, 64, 128)),))


def test_without_evidence_nothing_is_claimed() -> None:
    found = from_build_log([(10, "Total Activation Memory: 1024 bytes")], "images")
    assert (found.evidence, found.precision, found.activation_bytes) == ("none", "unknown", 1024)
    check_facts(found, "fp16", {"Half": 1000}, PROFILES)


def test_a_list_of_half_the_weights_proves_nothing() -> None:
    graph = {"Half": 1000}
    few = weigh(facts(Float=100), graph)
    assert few.evidence == "partial"
    assert few.precision == "unknown"
    check_facts(few, "fp16", graph, PROFILES)
    most = weigh(facts(Float=600), graph)
    assert most.evidence == "inspector"
    with pytest.raises(ModelError):
        check_facts(most, "fp16", graph, PROFILES)
    assert weigh(EngineFacts(), graph).evidence == "none"
    with pytest.raises(ModelError):  # the profiles are known all the same
        check_facts(few, "fp16", graph, (Profile(Range(1, 1, 1), Range(32, 64, 128)),))


def test_an_engine_that_does_not_know_its_memory_is_described_all_the_same() -> None:
    class Older(Engine):
        device_memory_size_v2 = property(lambda _: (_ for _ in ()).throw(AttributeError))

    found = from_engine(Module, Older("no JSON {"), "images")
    assert (found.evidence, found.activation_bytes) == ("none", 0)
    assert found.profiles == PROFILES


class Engine:
    """A loaded engine whose inspector answers in one of its two forms."""

    num_optimization_profiles = 1
    device_memory_size_v2 = 4096

    def __init__(self, text: str) -> None:
        self._text = text

    def create_engine_inspector(self) -> "Engine":
        return self

    def get_engine_information(self, _format: object) -> str:
        return self._text

    def get_tensor_profile_shape(self, _name: str, _index: int) -> list[tuple[int, ...]]:
        return [(1, 3, 32, 32), (2, 3, 32, 64), (4, 3, 32, 128)]


class Module:
    class LayerInformationFormat:
        JSON = "json"


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        (
            '{"Layers": [{"Name": "c", "Weights": {"Type": "Half", "Count": 864},'
            ' "Bias": {"Type": "Half", "Count": 16}}, {"Name": "d"}]}',
            {"Half": 864},
        ),
        (
            '{"Layers": [{"Name": "c", "Constants": [{"Name": "w", "Dimensions": [16, 3, 3, 3],'
            ' "Format/Datatype": "Channel major FP16 format"}]}]}',
            {"Half": 432},
        ),
        (
            '{"Layers": [{"Constants": [{"Dimensions": [8, 2], "Datatype": "Int8"}]}]}',
            {"Int8": 16},
        ),
        (
            '{"Layers": [{"Name": "c_myl0_1", '
            ' "Constants": [{"Dimensions": [8], "Datatype": "Half"}]},'
            ' {"Name": "c [profile 1]_myl1_1", "Constants": []},'
            ' {"Name": "d_myl1_2", "Constants": [{"Dimensions": [8], "Datatype": "Float"}]},'
            ' {"Name": "e [profile 2]", "Constants": [{"Dimensions": [8], "Datatype": "Half"}]}]}',
            {"Float": 8},  # of the profile whose weights were widened
        ),
        ('{"Layers": ["conv1", "conv2"]}', {}),
    ],
)
def test_the_inspectors_words_are_understood(text: str, weights: dict[str, int]) -> None:
    found = from_engine(Module, Engine(text), "images")
    assert found.weights == weights
    assert found.evidence == ("inspector" if weights else "none")
    assert found.profiles == PROFILES
    assert found.activation_bytes == 4096
