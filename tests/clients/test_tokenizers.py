"""What clients of transformers' tokenizers do with ours, beside transformers' own two classes in the same place.

The first line of a docstring is a line of docs/clients.md: the client, and how it is called.
"""

from __future__ import annotations

import copy
import multiprocessing
import pickle
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import roberta
import torch
import transformers
from roberta.clients.transformers import Trainer
from roberta.tokenizer import AddedToken
from roberta.tokenizer.compatibility import REFUSED
from transformers.data.data_collator import DataCollatorForMultipleChoice

pytestmark = [pytest.mark.hf, pytest.mark.tokenizers, pytest.mark.filterwarnings("ignore")]  # the clients' own
FOLDER = Path(roberta.__file__).parent / "checkpoints" / "austen"
TEXTS = ["She was not at all sorry.", "He said nothing.", "Emma Woodhouse, handsome, clever, and rich 😀"]
KINDS = ["RobertaTokenizer", "RobertaTokenizerFast"]
ROLES = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"]


def load(kind: str, **options: Any) -> Any:
    return getattr(roberta, kind).from_pretrained(FOLDER, **options)


def peer(kind: str, **options: Any) -> Any:
    """The same of transformers."""
    return getattr(transformers, kind).from_pretrained(FOLDER, **options)


def plain(value: Any) -> Any:
    """Lists, dicts, numbers and text, which compare; a token is what it matches and how."""
    if hasattr(value, "lstrip") and hasattr(value, "content"):
        return [value.content, value.lstrip, value.rstrip, value.single_word, value.normalized, value.special]
    if hasattr(value, "tolist") or hasattr(value, "numpy"):
        return np.asarray(value).tolist()
    if hasattr(value, "items"):
        return {key: plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, (list, tuple)) else value


# -- what people type --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_the_name_of_the_first_argument(kind: str) -> None:
    """`from_pretrained(pretrained_model_name_or_path=folder)`"""
    found = getattr(roberta, kind).from_pretrained(pretrained_model_name_or_path=FOLDER)
    assert found(TEXTS[0])["input_ids"] == load(kind)(TEXTS[0])["input_ids"]
    with pytest.raises(TypeError, match=f"{kind}.from_pretrained: expected a folder, or an id on the hub, got nothing"):
        getattr(roberta, kind).from_pretrained()


@pytest.mark.parametrize("kind", KINDS)
def test_every_public_name(kind: str) -> None:
    """Every public name of transformers' tokenizers is there, or is refused by name with what to type instead"""
    ours, theirs = load(kind), peer(kind)
    names = {name for name in dir(theirs) if not name.startswith("_")}
    lacking = {name for name in names if not hasattr(ours, name)}
    assert lacking == names & REFUSED.keys()
    for name in lacking:
        with pytest.raises(AttributeError, match=rf"{kind} does without '{name}': .{{20,}}"):
            getattr(ours, name)
    with pytest.raises(AttributeError, match=f"{kind} has no attribute 'zzz'"):
        ours.zzz  # noqa: B018
    assert REFUSED.keys() <= {name for each in KINDS for name in dir(peer(each))}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "name",
    [
        *ROLES, *(f"{role}_id" for role in ROLES), "additional_special_tokens", "additional_special_tokens_ids",
        "SPECIAL_TOKENS_ATTRIBUTES", "special_tokens_map", "special_tokens_map_extended", "all_special_tokens",
        "all_special_ids", "all_special_tokens_extended", "added_tokens_encoder", "added_tokens_decoder", "vocab_size",
        "pad_token_type_id", "model_max_length", "max_len_single_sentence", "padding_side", "truncation_side",
        "model_input_names", "is_fast", "name_or_path", "chat_template", "verbose", "init_inputs",
        "can_save_slow_tokenizer",
        # of the slow class only
        "encoder", "bpe_ranks", "byte_encoder", "byte_decoder", "total_vocab_size",
    ],
)  # fmt: skip
def test_properties(kind: str, name: str) -> None:
    """Properties: the roles and their ids, `special_tokens_map_extended`, `byte_encoder`, `init_inputs`, …"""
    theirs = peer(kind)
    if not hasattr(theirs, name):
        pytest.skip(f"transformers' {kind} has no {name}")
    assert plain(getattr(load(kind), name)) == plain(getattr(theirs, name))


@pytest.mark.parametrize("kind", KINDS)
def test_what_people_type(kind: str) -> None:
    """`len(tokenizer)`, `tokenizer.decoder`, `model(**tokenizer(text, return_tensors="pt").to("cpu"))`"""
    ours, theirs = load(kind), peer(kind)
    assert len(ours) == len(theirs)
    if kind == "RobertaTokenizer":
        assert ours.decoder == {index: token for index, token in theirs.decoder.items() if index < ours.vocab_size}
    else:
        assert type(ours.decoder) is type(theirs.decoder)
        assert ours.slow_tokenizer_class is roberta.RobertaTokenizer
    assert ours.clean_up_tokenization("Yes , it is .") == theirs.clean_up_tokenization("Yes , it is .")
    model = roberta.RobertaForMaskedLM.from_pretrained(FOLDER, backend="torch")
    logits = model(**ours(TEXTS, return_tensors="pt", padding=True).to("cpu", non_blocking=True)).logits
    assert torch.equal(logits, model(**theirs(TEXTS, return_tensors="pt", padding=True).to("cpu")).logits)


@pytest.mark.parametrize("kind", KINDS)
def test_options_of_calls(kind: str) -> None:
    """`tokenize(text, split_special_tokens=True)`, `decode(ids, spaces_between_special_tokens=False)`"""
    ours, theirs = load(kind), peer(kind)
    text = "She<mask> was</s>"
    for split in (True, False):
        assert ours.tokenize(text, split_special_tokens=split) == theirs.tokenize(text, split_special_tokens=split)
    ids = ours(text).input_ids
    options = {"skip_special_tokens": True, "spaces_between_special_tokens": False}
    assert ours.decode(ids, **options) == theirs.decode(ids, **options)
    with pytest.raises(ValueError, match=r"spaces_between_special_tokens: expected False, got True; join"):
        ours.decode(ids, spaces_between_special_tokens=True)


def test_the_record_of_a_call() -> None:
    """The record of a call: `encoding.words()`, `.n_sequences`, `.is_fast`, `.convert_to_tensors("pt", True)`"""
    for texts in (("It is.",), ("It is.", "Is it?")):
        ours, theirs = load(KINDS[1])(*texts), peer(KINDS[1])(*texts)
        assert (ours.is_fast, ours.n_sequences) == (theirs.is_fast, theirs.n_sequences)
        assert ours.words() == ours.word_ids()
        assert plain(ours.convert_to_tensors("pt", True)) == plain(theirs.convert_to_tensors("pt", True))
    features = load(KINDS[1]).pad({"input_ids": [[0, 5, 2]]})
    assert (features.is_fast, features.n_sequences) == (False, None)


@pytest.mark.parametrize("kind", KINDS)
def test_roles_are_set_and_unset(kind: str) -> None:
    """`tokenizer.pad_token = …`, `tokenizer.pad_token_id = …`, either to None; the same without a role"""
    both = load(kind), peer(kind)
    index = both[0].convert_tokens_to_ids("Ġthe")

    def seen() -> None:
        roles = [
            *ROLES,
            *(f"{role}_id" for role in ROLES),
            "additional_special_tokens",
            "additional_special_tokens_ids",
        ]
        ours, theirs = ([plain(getattr(each, name)) for name in roles] for each in both)
        assert ours == theirs

    for role in ROLES:
        for name, value in ((role, None), (f"{role}_id", index), (f"{role}_id", None), (role, "</s>")):
            for each in both:
                setattr(each, name, value)
            seen()
    for name, value in (
        ("additional_special_tokens", ["<s>", "Ġthe"]), ("additional_special_tokens_ids", [index]),
        ("additional_special_tokens_ids", []),
    ):  # fmt: skip
        for each in both:
            setattr(each, name, value)
        seen()
    for each in both:
        each.additional_special_tokens = None
        assert each.additional_special_tokens is None
    with pytest.raises(ValueError, match=r"additional_special_tokens: expected a token of the vocabulary, got '<x>'"):
        both[0].additional_special_tokens = ["<x>"]
    assert both[0].add_special_tokens({"additional_special_tokens": ["<x>"]}) == 1
    assert both[0].additional_special_tokens == ["<x>"]


def test_a_vocabulary_that_needs_unk_says_so_when_it_does() -> None:
    """A vocabulary without all bytes: `unk_token` may be unset, and what then cannot be encoded is an error"""
    tokenizer = roberta.RobertaTokenizer({"a": 0, "<unk>": 1}, [])
    tokenizer.unk_token = None
    assert tokenizer.unk_token_id is None
    with pytest.raises(ValueError, match=r"expected all 256 byte symbols, or an unk_token"):
        tokenizer("a", add_special_tokens=False)
    tokenizer.unk_token = "<unk>"  # noqa: S105
    assert tokenizer("ab", add_special_tokens=False).input_ids == [0, 1]


@pytest.mark.parametrize("kind", KINDS)
def test_arguments_are_saved_and_come_back(kind: str, tmp_path: Path) -> None:
    """`from_pretrained(folder, model_max_length=77, my_own=3)`: in `init_kwargs`, saved, and there when loaded"""
    given = {"model_max_length": 77, "padding_side": "left", "errors": "ignore", "my_own": 3}
    loads = (load, peer)
    for library, load_from in zip((roberta, transformers), loads, strict=True):
        folder = tmp_path / library.__name__
        load_from(kind, **given, use_fast=True, do_lower_case=False).save_pretrained(folder, push_to_hub=False)
        for reader in (roberta, transformers):  # who reads what the other has written
            again = getattr(reader, kind).from_pretrained(folder)
            assert given.items() <= again.init_kwargs.items()
    again.init_kwargs["changed"] = True
    with pytest.raises(TypeError, match=f"{kind}: 'padding_sides' is not an option; did you mean 'padding_side'"):
        load(kind, padding_sides="left")
    with pytest.raises(TypeError, match="'get_vocab' is not an option"):
        load(kind, get_vocab=True)
    with pytest.raises(TypeError, match="'my_own' is no setting, and object cannot be kept"):
        load(kind, my_own=object())
    with pytest.raises(ValueError, match=r"push_to_hub: expected False, got 'yes'; pass True to send it"):
        load(kind).save_pretrained(tmp_path, push_to_hub="yes")


@pytest.mark.parametrize(("name", "value", "message"), [
    ("my_own", 3, "'my_own' is no setting: it is kept and saved, and nothing comes of it"),
    ("do_lower_case", True, "do_lower_case: RoBERTa knows both cases"),
])  # fmt: skip
def test_what_has_no_effect_is_said(name: str, value: object, message: str) -> None:
    """`from_pretrained(folder, do_lower_case=True)`: a warning, since nothing comes of it"""
    with pytest.warns(UserWarning, match=message):
        load(KINDS[0], **{name: value})


# -- transformers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", [
    {}, {"add_special_tokens": False}, {"padding": "max_length", "max_length": 13},
    {"truncation": True, "max_length": 7}, {"truncation": "only_second", "max_length": 12},
    {"return_special_tokens_mask": True, "return_token_type_ids": True},
    {"return_tensors": "np"}, {"return_tensors": "pt", "prepend_batch_axis": True},
    {"return_length": True, "padding": True, "pad_to_multiple_of": 8, "padding_side": "left"},
], ids=str)  # fmt: skip
def test_prepare_for_model(kind: str, options: dict[str, Any]) -> None:
    """`prepare_for_model(ids, pair_ids, …)`, `truncate_sequences(ids, num_tokens_to_remove=…)`"""
    ours, theirs = load(kind), peer(KINDS[0])  # its fast class has the same method, which fails for the mask
    first, second = (ours(text, add_special_tokens=False).input_ids for text in TEXTS[:2])
    for ids in ((first,), (first, second)):
        if options.get("truncation") == "only_second" and len(ids) == 1:
            continue
        assert plain(ours.prepare_for_model(*ids, **options)) == plain(theirs.prepare_for_model(*ids, **options))
    with pytest.raises(ValueError, match="return_offsets_mapping: expected False"):
        ours.prepare_for_model(first, return_offsets_mapping=True)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("strategy", ["longest_first", "only_first", "only_second"])
def test_truncate_sequences(strategy: str, side: str) -> None:
    """`truncate_sequences(ids, pair_ids, num_tokens_to_remove=3, truncation_strategy=…)`"""
    ours, theirs = (each(KINDS[0], truncation_side=side) for each in (load, peer))
    first, second = list(range(5, 14)), list(range(20, 24))
    cases = [(first, second, 0), (first, second, 3)] + ([] if strategy == "only_second" else [(first, None, 3)])
    for *ids, count in cases:
        options = {"num_tokens_to_remove": count, "truncation_strategy": strategy, "stride": 2}
        assert plain(ours.truncate_sequences(*ids, **options)) == plain(theirs.truncate_sequences(*ids, **options))


@pytest.mark.parametrize("kind", KINDS)
def test_texts_and_targets(kind: str) -> None:
    """`prepare_seq2seq_batch(texts, targets)`, `with tokenizer.as_target_tokenizer(): …`"""
    ours, theirs = load(kind), peer(kind)
    options = {"max_length": 6, "max_target_length": 4, "return_tensors": "pt", "src_lang": "en_XX"}
    for targets in (None, TEXTS[::-1]):
        found, expected = (each.prepare_seq2seq_batch(TEXTS, targets, **options) for each in (ours, theirs))
        assert plain(found) == plain(expected)
    with ours.as_target_tokenizer():
        assert ours(TEXTS).input_ids == theirs(TEXTS).input_ids
    assert ours.sanitize_special_tokens() == 0


@pytest.mark.parametrize("kind", KINDS)
def test_other_input_names(kind: str) -> None:
    """`tokenizer.model_input_names = ["inputs", "attention_mask"]`, and `pad` of rows with such names"""
    padded = []
    for each in (load(kind), peer(kind)):
        rows = [{"inputs": each(text)["input_ids"]} for text in TEXTS]
        each.model_input_names = ["inputs", "attention_mask"]
        padded.append(plain(each.pad(rows, padding="max_length", max_length=24, pad_to_multiple_of=8)))
    assert padded[0] == padded[1]
    tokenizer = load(kind, model_input_names=["inputs", "attention_mask"])
    with pytest.raises(ValueError, match="pad: expected features with inputs, got input_ids"):
        tokenizer.pad({"input_ids": [0, 2]})


def test_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """A row that is too long for the model is logged once, and again after `tokenizer.deprecation_warnings = {}`"""
    tokenizer = load(KINDS[0], model_max_length=5)
    for _ in range(2):
        tokenizer(TEXTS)
        tokenizer(TEXTS)
        tokenizer.deprecation_warnings = {}
    assert len(caplog.records) == 2


def rows(tokenizer: Any) -> list[Any]:
    return [dict(tokenizer(text)) for text in TEXTS]


def even(tokenizer: Any) -> list[Any]:
    return [{"input_ids": row["input_ids"][:6]} for row in rows(tokenizer)]


def labelled(tokenizer: Any) -> list[Any]:
    return [{**row, "label": number} for number, row in enumerate(rows(tokenizer))]


def tagged(tokenizer: Any) -> list[Any]:
    return [{**row, "labels": list(range(len(row["input_ids"])))} for row in rows(tokenizer)]


def choices(tokenizer: Any) -> list[Any]:
    return [{**tokenizer(TEXTS[:2]), "label": 1}, {**tokenizer(TEXTS[1:]), "label": 0}]


COLLATORS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "padding": (transformers.DataCollatorWithPadding, labelled, {}),
    "padding to a length": (
        transformers.DataCollatorWithPadding,
        labelled,
        {"padding": "max_length", "max_length": 33},
    ),
    "language modelling": (transformers.DataCollatorForLanguageModeling, rows, {"pad_to_multiple_of": 8}),
    "causal": (transformers.DataCollatorForLanguageModeling, rows, {"mlm": False}),
    "whole words": (transformers.DataCollatorForWholeWordMask, rows, {}),
    "permutation": (transformers.DataCollatorForPermutationLanguageModeling, even, {}),
    "token classification": (transformers.DataCollatorForTokenClassification, tagged, {}),
    "sequence to sequence": (transformers.DataCollatorForSeq2Seq, tagged, {}),
    "multiple choice": (DataCollatorForMultipleChoice, choices, {}),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("framework", ["pt", "np", pytest.param("tf", marks=pytest.mark.tensorflow)])
@pytest.mark.parametrize("name", COLLATORS)
def test_collators(name: str, framework: str, kind: str) -> None:
    """transformers' collators, in PyTorch, NumPy and TensorFlow: the same batches, masks and draws included

    With padding, for language modelling (causal, masked, whole words, permutation), token classification, sequence to
    sequence, multiple choice.
    """
    make, examples, options = COLLATORS[name]
    if name == "multiple choice" and framework == "np":
        pytest.skip("transformers' collator for multiple choice makes no NumPy arrays")
    batches = []
    for tokenizer in (load(kind), peer(kind)):
        random.seed(0)
        np.random.seed(0)  # noqa: NPY002  (what they draw from)
        torch.manual_seed(0)
        if framework == "tf":
            pytest.importorskip("tensorflow").random.set_seed(0)
        batches.append(plain(make(tokenizer, return_tensors=framework, **options)(examples(tokenizer))))
    assert batches[0] == batches[1]


@pytest.mark.parametrize("kind", KINDS)
def test_sentence_order(kind: str) -> None:
    """transformers' DataCollatorForSOP, whose tokenizer has to be set by hand"""
    batches = []
    for tokenizer in (load(kind), peer(kind)):
        torch.manual_seed(0)
        collator = transformers.DataCollatorForSOP()
        collator.tokenizer, collator.mlm_probability = tokenizer, 0.5
        ids = [tokenizer(text, return_tensors="pt")["input_ids"][0] for text in TEXTS]
        examples = [
            {"input_ids": row, "token_type_ids": row * 0, "sentence_order_label": torch.tensor(1)} for row in ids
        ]
        batches.append(plain(collator(examples)))
    assert batches[0] == batches[1]


class Rows(torch.utils.data.Dataset):
    """Texts of several lengths, not padded."""

    def __init__(self, tokenizer: Any) -> None:
        self.rows = [{**tokenizer(text), "labels": 0} for text in TEXTS * 2]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Any:
        return self.rows[index]


@pytest.mark.parametrize("kind", KINDS)
def test_trainer_pads(kind: str, tmp_path: Path) -> None:
    """`roberta.clients.transformers.Trainer(model, arguments, processing_class=tokenizer)`: pads without a collator"""
    tokenizer = load(kind)
    arguments = transformers.TrainingArguments(
        str(tmp_path), max_steps=2, per_device_train_batch_size=3, report_to=[], use_cpu=True, disable_tqdm=True
    )
    model = roberta.RobertaForSequenceClassification.from_pretrained(FOLDER, backend="torch", num_labels=2)
    own = Trainer(model, arguments, train_dataset=Rows(tokenizer), processing_class=tokenizer)
    own.train()
    own.save_model(str(tmp_path / "saved"))
    again = transformers.AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert again(TEXTS).input_ids == tokenizer(TEXTS).input_ids
    given = Trainer(model, arguments, data_collator=transformers.default_data_collator, processing_class=tokenizer)
    assert given.data_collator is transformers.default_data_collator


CALLS: dict[str, tuple[str, Any, Any]] = {
    "fill-mask": ("MaskedLM", "She said that he was a <mask> man.", {"top_k": 3}),
    "text-classification": ("SequenceClassification", TEXTS, {"padding": True, "batch_size": 2}),
    "token-classification": ("TokenClassification", TEXTS, {}),
    "question-answering": ("QuestionAnswering", {"question": "Who?", "context": "Mr. Bennet came. " * 30}, {}),
    "zero-shot-classification": ("SequenceClassification", TEXTS, {"candidate_labels": ["kind", "proud"]}),
    "feature-extraction": ("Model", TEXTS, {}),
    "text-generation": ("CausalLM", "She was", {"max_new_tokens": 3, "do_sample": False}),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("task", CALLS)
def test_pipelines(task: str, kind: str) -> None:
    """transformers' `pipeline(task, model=theirs, tokenizer=ours)`: every task of text, to the bit

    Question answering, and words in token classification, by the fast class only, as in transformers.
    """
    head, given, options = CALLS[task]
    if task == "question-answering" and kind == "RobertaTokenizer":
        pytest.skip("pipelines take tokenizers that are not fast through a reader of their own; see docs/clients.md")
    torch.manual_seed(0)
    name = "RobertaModel" if head == "Model" else f"RobertaFor{head}"
    model = getattr(transformers, name).from_pretrained(FOLDER, is_decoder=head == "CausalLM")
    if task == "zero-shot-classification":
        model.config.label2id = {"entailment": 0, "contradiction": 1}
    calls = [{}, {"aggregation_strategy": "first"}] if task == "token-classification" and "Fast" in kind else [{}]
    for made in calls:
        ours, theirs = (
            transformers.pipeline(task, model=model, tokenizer=each(kind), **made)(given, **options)
            for each in (load, peer)
        )
        assert repr(ours) == repr(theirs)


# -- Python ------------------------------------------------------------------------------------------------------------


def states(tokenizer: Any) -> list[Any]:
    """What a tokenizer says of itself and of texts."""
    return [tokenizer(TEXTS), tokenizer.get_vocab(), tokenizer.special_tokens_map, tokenizer.init_kwargs]


@pytest.mark.parametrize("kind", KINDS)
def test_copies(kind: str) -> None:
    """`copy.copy`, `copy.deepcopy` and `pickle`: equal, and independent of what they were made of"""
    tokenizer = load(kind, additional_special_tokens=["<x>"])
    for make in (copy.copy, copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))):  # noqa: S301
        other = make(tokenizer)
        assert states(other) == states(tokenizer)
        other.add_tokens(AddedToken("<new>"))
        other.additional_special_tokens = []
        other.deprecation_warnings["said"] = True
        assert "<new>" not in tokenizer.get_vocab()
        assert tokenizer.additional_special_tokens == ["<x>"]
        assert not tokenizer.deprecation_warnings


@pytest.mark.parametrize("kind", KINDS)
def test_datasets_map(kind: str) -> None:
    """Hugging Face's datasets: `data.map(lambda rows: tokenizer(rows["text"]), batched=True)` finds its cache again

    It knows a function by the bytes that its tokenizer is pickled to: calls must not change them.
    """
    tokenizer = load(kind)
    before = pickle.dumps(tokenizer)
    batch = tokenizer(tuple(TEXTS), truncation=True, max_length=6, padding=True)
    assert batch == tokenizer(TEXTS, truncation=True, max_length=6, padding=True)
    assert isinstance(batch, dict)
    assert pickle.dumps(tokenizer) == before == pickle.dumps(load(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_threads(kind: str) -> None:
    """Threads: one tokenizer for all of them"""
    tokenizer, alone = load(kind), load(kind)
    texts = [f"It is chapter {number} of Emma's naïve history." for number in range(200)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda text: tokenizer(text, padding="max_length", max_length=40).input_ids, texts))
    assert found == [alone(text, padding="max_length", max_length=40).input_ids for text in texts]


def test_spawn() -> None:
    """`multiprocessing` with spawned processes: `pool.map(tokenizer.encode, texts)`"""
    tokenizers = [load(kind) for kind in KINDS]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        for tokenizer in tokenizers:
            assert pool.map(tokenizer.encode, TEXTS) == [tokenizer.encode(text) for text in TEXTS]
