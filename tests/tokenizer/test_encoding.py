import pickle

import numpy as np
import pytest
from roberta.tokenizer import BatchEncoding


@pytest.fixture
def encoding(tiny):
    return tiny(["the cat", "a <mask>"], padding=True)


def test_it_is_a_mapping_whose_fields_are_attributes(encoding):
    def model(input_ids, attention_mask):
        return input_ids, attention_mask

    assert model(**encoding) == (encoding.input_ids, encoding["attention_mask"])
    assert list(encoding) == ["input_ids", "attention_mask"]
    assert encoding.data == dict(encoding)
    assert type(encoding.data) is dict


def test_it_prints_readably(encoding):
    shown = repr(encoding.convert_to_tensors("np")).splitlines()
    assert shown[0] == "BatchEncoding"
    assert shown[1].startswith("  input_ids       array([[ 0, ")
    assert shown[1].endswith("shape (2, 4)")
    assert all(len(line) < 120 for line in repr(BatchEncoding({"input_ids": list(range(5000))})).splitlines())
    assert repr(BatchEncoding({})) == "BatchEncoding"


def test_an_integer_gives_a_row(encoding):
    assert encoding[1].ids == encoding.input_ids[1]
    assert encoding[-1].tokens == encoding.tokens(1)
    assert len(encoding.encodings) == 2
    with pytest.raises(IndexError, match=r"row index of 0 to 1, got 2; name a field"):
        encoding[2]


def test_the_row_may_be_left_out(tiny):
    one = tiny("the cat")
    assert one.char_to_token(4) == one.char_to_token(0, 4) == one[0].char_to_token(4)
    assert one.token_to_chars(1).start == 0
    assert one.word_to_tokens(1).end == one.token_to_word(0, 2) + 2
    assert one.word_to_chars(1) == (4, 7)
    assert one.token_to_sequence(0) is None
    assert one.char_to_word(0, 5) == 1


def test_a_field_that_is_not_there_is_named(encoding):
    with pytest.raises(
        AttributeError, match=r"expected one of the fields input_ids, attention_mask, got 'labels'; ask"
    ):
        encoding.labels  # noqa: B018
    assert not hasattr(encoding, "__len_hint__")
    with pytest.raises(KeyError):
        encoding["labels"]


def test_pickling_leaves_the_rows_behind(encoding):
    data = pickle.dumps(encoding)
    assert len(data) < 1000  # and not a vocabulary
    again = pickle.loads(data)  # noqa: S301
    assert (type(again), again) == (BatchEncoding, encoding)
    with pytest.raises(
        ValueError, match=r"expected the record of a tokenizer call, got one without rows; .*ask before"
    ):
        again.word_ids()


def test_moving_tensors(encoding):
    class Tensor:
        def to(self, device):
            return ("moved", device)

    encoding["input_ids"] = Tensor()
    assert encoding.to("cuda").input_ids == ("moved", "cuda")
    assert isinstance(encoding.attention_mask, list)


@pytest.mark.torch
def test_ids_never_become_fractions(tiny):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    found = tiny("a", return_tensors="pt")
    with pytest.warns(UserWarning, match=r"expected a device, got torch.float16: ids stay integers"):
        assert found.to(torch.float16).input_ids.dtype == torch.int64


def test_tensors_of_every_field(tiny):
    found = tiny(["a", "b"], return_tensors="np", return_offsets_mapping=True, return_length=True)
    assert all(isinstance(value, np.ndarray) for value in found.values())
    assert (found.offset_mapping.shape, found.length.tolist()) == ((2, 3, 2), [3, 3])
