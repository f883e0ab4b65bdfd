"""Recognisers as others publish them: each loads, which includes giving its own outputs."""

import pytest
from known_readers import KNOWN, KnownReader, find_file

from crnn.checkpoints import load_checkpoint
from crnn_runtime import Alphabet, CrnnError

pytestmark = pytest.mark.slow


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in KNOWN])
def reader(request: pytest.FixtureRequest) -> KnownReader:
    return KNOWN[request.param]


def test_it_loads_with_its_alphabet_or_a_dictionary(reader: KnownReader) -> None:
    path = find_file(reader, reader.model)
    alphabet = reader.dictionary and find_file(reader, reader.dictionary)
    checkpoint = load_checkpoint(path, alphabet=alphabet)
    assert checkpoint.arch == reader.arch
    assert checkpoint.num_classes == reader.classes
    assert checkpoint.card is not None
    assert checkpoint.card.alphabet.characters[-1] == " "
    assert (checkpoint.card.color, checkpoint.card.height) == ("bgr", 48)
    assert checkpoint.card.time_origin == 0  # else the last step of a line is not decoded


def test_its_neighbours_are_refused(reader: KnownReader) -> None:
    assert reader.detector is not None
    with pytest.raises(CrnnError) as caught:
        load_checkpoint(find_file(reader, reader.detector))
    assert "\n" not in str(caught.value)


def test_a_dictionary_of_another_language_is_refused(reader: KnownReader) -> None:
    with pytest.raises(CrnnError) as caught:
        load_checkpoint(find_file(reader, reader.model), alphabet=Alphabet.load("latin"))
    assert "\n" not in str(caught.value)
    assert "95" in str(caught.value)
