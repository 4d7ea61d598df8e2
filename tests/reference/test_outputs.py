import numpy as np
import pytest
from roberta.reference.attention import Cache
from roberta.reference.outputs import OUTPUTS, BaseModelOutput, CausalLMOutput, MaskedLMOutput, to_numpy

X = np.arange(6.0).reshape(1, 2, 3)


@pytest.fixture
def output() -> CausalLMOutput:
    return CausalLMOutput(logits=X, hidden_states=(X, X + 1))


def test_a_field_is_read_by_attribute_key_index_and_slice(output: CausalLMOutput) -> None:
    assert output.logits is output["logits"] is output[0] is X
    assert output[1] is output["hidden_states"]
    assert output[:1] == (X,)
    assert output[-1] is output.hidden_states


def test_absent_fields_do_not_count(output: CausalLMOutput) -> None:
    assert list(output) == list(output.keys()) == ["logits", "hidden_states"]
    assert len(output) == len(output.to_tuple()) == 2
    assert output.loss is None
    assert "loss" not in output
    assert "logits" in output
    assert output.get("loss") is None


@pytest.mark.parametrize("key", ["loss", "nonsense", "names"])
def test_a_key_that_is_not_there_is_a_key_error(output: CausalLMOutput, key: str) -> None:
    with pytest.raises(KeyError, match=key):
        output[key]


def test_an_index_beyond_the_fields_is_an_index_error(output: CausalLMOutput) -> None:
    with pytest.raises(IndexError):
        output[2]


def test_items_and_values_come_in_the_order_of_the_fields(output: CausalLMOutput) -> None:
    assert [name for name, _ in output.items()] == ["logits", "hidden_states"]
    assert tuple(output.values()) == output.to_tuple()


FIELDS = {
    "BaseModelOutput": "last_hidden_state pooler_output past_key_values hidden_states attentions cross_attentions",
    "CausalLMOutput": "loss logits past_key_values hidden_states attentions cross_attentions",
    "MaskedLMOutput": "loss logits hidden_states attentions",
    "SequenceClassifierOutput": "loss logits hidden_states attentions",
    "MultipleChoiceModelOutput": "loss logits hidden_states attentions",
    "TokenClassifierOutput": "loss logits hidden_states attentions",
    "QuestionAnsweringModelOutput": "loss start_logits end_logits hidden_states attentions",
}


@pytest.mark.parametrize("record", OUTPUTS, ids=lambda record: record.__name__)
def test_records_have_hf_s_fields_in_hf_s_order(record: type) -> None:
    assert list(record.names()) == FIELDS[record.__name__].split()


def test_numpy_keeps_the_nesting_of_tuples_and_the_cache() -> None:
    cache = Cache(((X, X + 1),), np.array([2]))
    arrays = BaseModelOutput(last_hidden_state=X, past_key_values=cache, hidden_states=(X, X)).numpy()
    assert list(arrays) == ["last_hidden_state", "past_key_values", "hidden_states"]
    assert isinstance(arrays["hidden_states"], tuple)
    assert isinstance(arrays["past_key_values"], Cache)
    assert np.array_equal(arrays["past_key_values"][0][1], X + 1)


def test_two_records_are_equal_only_as_the_same_object() -> None:
    assert MaskedLMOutput(logits=X) != MaskedLMOutput(logits=X)


def test_numpy_scalars_become_arrays() -> None:
    assert isinstance(to_numpy(np.float32(2)), np.ndarray)


@pytest.mark.torch
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "float64", "int64"])
def test_tensors_of_every_dtype_become_arrays_of_the_same_numbers(dtype: str) -> None:
    import torch

    tensor = torch.tensor([1.0, 2.0, -3.0]).to(getattr(torch, dtype))
    if tensor.is_floating_point():
        tensor.requires_grad_()
    array = to_numpy(tensor)
    assert isinstance(array, np.ndarray)
    assert array.tolist() == [1.0, 2.0, -3.0]
