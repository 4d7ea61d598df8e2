"""XLM-RoBERTa and CamemBERT: the same tasks, whose tokens are SentencePiece's, beside transformers' pipelines."""

from __future__ import annotations

import io
from typing import Any

import pytest
import roberta
import torch
import transformers
from roberta.tasks.records import plain

pytestmark = [pytest.mark.torch, pytest.mark.hf, pytest.mark.tokenizers]
TEXTS = [
    "Emma Woodhouse, handsome, clever, and rich; naïve, too.",
    "“Oh!” cried Mr. Knightley — so it is 漢, said he.",
    "He lived at Highbury .",
]
LABELS = {0: "O", 1: "B-PER", 2: "I-PER"}
#: Float32 where a pipeline makes scores in it; see test_transformers.py.
BOUND = 64 * 2.0**-24


@pytest.fixture(scope="module")
def vocabulary() -> bytes:
    sentencepiece = pytest.importorskip("sentencepiece", reason="it trains the vocabulary")
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*TEXTS[:1], *TEXTS[2:], roberta.__doc__ or ""] * 3),
        model_writer=written,
        vocab_size=300,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    return written.getvalue()


@pytest.fixture(params=["XLMRoberta", "Camembert"])
def pair(request: Any, vocabulary: bytes, make_config: Any, make_model: Any, tmp_path: Any) -> Any:
    """A task of ours and the pipeline, of the same folder, in float64."""
    prefix = request.param
    (tmp_path / "sentencepiece.bpe.model").write_bytes(vocabulary)
    tokenizer = getattr(roberta, f"{prefix}TokenizerFast")(str(tmp_path / "sentencepiece.bpe.model"))
    tokenizer.save_pretrained(tmp_path)

    def made(name: str, head: str, **changes: Any) -> tuple[Any, Any]:
        sizes = {"vocab_size": len(tokenizer), "max_position_embeddings": 131, "type_vocab_size": 1, **changes}
        config = getattr(roberta, f"{prefix}Config")(**{**make_config().to_dict(), **sizes})
        state = make_model(head, make_config(**sizes), "numpy").state_dict_numpy()
        scaled = {key: value * (8 if "classifier.weight" in key else 1) for key, value in state.items()}
        face = {"token_classification": "TokenClassification", "question_answering": "QuestionAnswering"}.get(
            head, "MaskedLM"
        )
        model = getattr(roberta, f"{prefix}For{face}")(config, backend="numpy", state=scaled)
        model.to_backend("numpy", dtype="float64").save_pretrained(tmp_path)
        peer = getattr(transformers, f"{prefix}For{face}").from_pretrained(tmp_path, dtype=torch.float64).eval()
        fast = getattr(transformers, f"{prefix}TokenizerFast").from_pretrained(tmp_path)
        theirs = transformers.pipeline(name, model=peer, tokenizer=fast, device="cpu")
        return roberta.task(name, tmp_path, backend="numpy", dtype="float64"), theirs

    return made


def require_same(own: Any, theirs: Any) -> None:
    if isinstance(theirs, dict):
        assert own.keys() == theirs.keys()
        for name, value in theirs.items():
            require_same(own[name], value)
    elif isinstance(theirs, list):
        assert len(own) == len(theirs)
        for one, other in zip(own, theirs, strict=True):
            require_same(one, other)
    else:
        assert own == (pytest.approx(float(theirs), rel=BOUND) if not isinstance(theirs, str | int) else theirs)


@pytest.mark.filterwarnings("ignore:Tokenizer does not support real words")
def test_token_classification(pair: Any) -> None:
    names = {"id2label": LABELS, "label2id": {label: at for at, label in LABELS.items()}}
    ours, theirs = pair("token-classification", "token_classification", **names)
    assert ours.weights.tokenizer.unk_token_id in ours.weights.tokenizer(TEXTS[1])["input_ids"]
    for strategy in ("none", "simple", "first", "average", "max"):
        asked = {"aggregation_strategy": strategy, "ignore_labels": []}
        require_same(plain(ours(TEXTS, **asked)), theirs(TEXTS, **asked))


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")
def test_question_answering(pair: Any) -> None:
    ours, theirs = pair("question-answering", "question_answering")
    asked = {"question": "Who was rich?", "context": " ".join(TEXTS), "top_k": 2, "max_seq_len": 53, "doc_stride": 11}
    require_same(plain(ours(**asked)), theirs(**asked))
    require_same(plain(ours(**asked, align_to_words=False)), theirs(**asked, align_to_words=False))


def test_filling_masks(pair: Any) -> None:
    ours, theirs = pair("fill-mask", "masked_lm")
    for text in ("Emma was <mask>, and rich.", "<mask> lived at Highbury."):
        found, expected = plain(ours(text)), theirs(text)
        for one, other in zip(found, expected, strict=True):
            assert one["token"] == other["token"]
            assert one["score"] == pytest.approx(other["score"], rel=BOUND)
