"""A page has 2 MB at most, whatever the model and the text are, and says what it left out."""

from typing import Any

import pytest
import roberta
from roberta.teaching.fitting import LIMIT, fitting
from roberta.teaching.pages import html
from roberta.teaching.recording import recorded

TOKENIZER: Any = roberta.RobertaTokenizer.from_pretrained("austen")


def record_of(head: str, layers: int, heads: int, text: str, faults: bool = False, **fields: Any) -> Any:
    from roberta.dispatch.api import FACES

    config = roberta.RobertaConfig(
        vocab_size=len(TOKENIZER), hidden_size=heads, num_hidden_layers=layers, num_attention_heads=heads,
        intermediate_size=7, max_position_embeddings=130, type_vocab_size=1, **fields,
    )  # fmt: skip
    others = {"question_answering": ["yes " * 60], "multiple_choice": ["yes " * 60, "no"]}.get(head, [])
    model = FACES[head](config, backend="numpy")
    return recorded(model, TOKENIZER, text, others, faults=faults)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("head", "layers", "heads", "fields"),
    [
        ("masked_lm", 24, 16, {}),
        ("masked_lm", 48, 25, {}),
        ("causal_lm", 24, 16, {"is_decoder": True}),
        ("multiple_choice", 24, 16, {}),
        ("question_answering", 24, 16, {"position_embedding_type": "relative_key_query"}),
    ],
)
def test_many_layers_and_a_long_text_fit(head: str, layers: int, heads: int, fields: Any) -> None:
    record = record_of(head, layers, heads, "It is a truth <b>universally</b> acknowledged. " * 250, **fields)
    page = fitting(record, html)
    assert len(page.encode("utf-8", "backslashreplace")) <= LIMIT


def test_what_is_left_out_is_said_and_the_record_stays() -> None:
    record = record_of("masked_lm", 3, 2, "It is a truth universally acknowledged that a single man", faults=True)
    whole = html(record)
    assert fitting(record, html) == whole
    before = repr(record)
    small = fitting(record, html, int(len(whole) * 0.85))
    assert len(small) <= len(whole) * 0.85
    assert repr(record) == before
    for note in ("Attention is shown of the first", "Pictures are coarser"):
        assert note in small
        assert note not in whole
        assert small.count(note) == 1
    with pytest.raises(ValueError, match=r"required a page of 1,000 bytes at most, got .*shorter text"):
        fitting(record, html, 1000)


def test_mistakes_are_told_before_they_are_made() -> None:
    told: list[str] = []
    model = roberta.RobertaForMaskedLM.from_pretrained("austen")
    record = recorded(model, TOKENIZER, "It is.", tell=told.append)
    assert told == [fault["name"] for fault in record["faults"][1:]]
