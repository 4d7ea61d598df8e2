"""``tokenizer.json``: what releases 4 and 5 of transformers write is read, what is of another kind is refused."""

import copy
import json

import pytest
from roberta.tokenizer import AddedToken, RobertaTokenizer, RobertaTokenizerFast
from roberta.tokenizer.tokenizer_json import read_tokenizer_json, tokenizer_json, write_tokenizer_json


@pytest.fixture(scope="module")
def special(tiny):
    """A tokenizer none of whose settings is the default."""
    settings = {
        "cls_token": "<x>",
        "add_prefix_space": True,
        "trim_offsets": False,
        "additional_special_tokens": ["<x>"],
    }
    tokenizer = RobertaTokenizer(tiny._base, tiny._merges, **settings)
    tokenizer.add_tokens([AddedToken("<new>", rstrip=True), AddedToken("ñ", single_word=True)])
    return tokenizer


@pytest.fixture
def stored(tiny):
    return copy.deepcopy(tokenizer_json(tiny))


def read(folder, stored):
    path = folder / "tokenizer.json"
    path.write_text(stored if isinstance(stored, str) else json.dumps(stored), encoding="utf-8")
    return read_tokenizer_json(path)


def test_what_is_written_is_what_is_read(special, tmp_path):
    write_tokenizer_json(tmp_path / "tokenizer.json", special)
    vocab, merges, arguments, _ = read_tokenizer_json(tmp_path / "tokenizer.json")
    assert (vocab, merges) == (special._base, special._merges)
    assert arguments["added_tokens_decoder"] == special.added_tokens_decoder
    assert {name: value for name, value in arguments.items() if name != "added_tokens_decoder"} == {
        "add_prefix_space": True,
        "cls_token": "<x>",
        "sep_token": "</s>",
        "trim_offsets": False,
    }


@pytest.mark.tokenizers
@pytest.mark.parametrize("texts", [("the <new>  cat",), ("\tñ <mask>añ", "<x>"), ("é日", "")])
def test_the_library_reads_it_with_the_same_ids(special, tmp_path, texts):
    from tokenizers import Tokenizer

    write_tokenizer_json(tmp_path / "tokenizer.json", special)
    library = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert library.encode(*texts).ids == special(*texts).input_ids
    assert json.loads(library.to_str()) == tokenizer_json(special)


@pytest.mark.tokenizers
@pytest.mark.parametrize("gap", [False, True])
@pytest.mark.parametrize("lacking", [set(), {"c"}, {"<unk>"}, {"c", "<unk>"}])
def test_gaps_and_lacking_bytes_are_written_so_that_ids_stay(tiny, tmp_path, gap, lacking):
    from tokenizers import Tokenizer

    base = {token: index + 7 * (gap and index > 99) for token, index in tiny._base.items() if token not in lacking}
    merges = [pair for pair in tiny._merges if {*pair, "".join(pair)} <= base.keys()]
    tokenizer = RobertaTokenizer(base, merges)
    tokenizer.add_tokens(["<new>", "<other>"])
    tokenizer.save_pretrained(tmp_path)
    text = "the cat<new> <other><mask>"
    assert Tokenizer.from_file(str(tmp_path / "tokenizer.json")).encode(text).ids == tokenizer(text).input_ids
    for kind in (RobertaTokenizer, RobertaTokenizerFast):
        again = kind.from_pretrained(tmp_path)
        assert again(text).input_ids == tokenizer(text).input_ids
        assert (again.get_vocab(), again.vocab_size) == (tokenizer.get_vocab(), len(base))
    (tmp_path / "vocab.json").unlink()
    assert RobertaTokenizer.from_pretrained(tmp_path)(text).input_ids == tokenizer(text).input_ids


# -- what others write -------------------------------------------------------------------------------------------------


def strings_for_merges(stored):
    stored["model"]["merges"] = [" ".join(pair) for pair in stored["model"]["merges"]]


def leftovers(stored):
    stored["truncation"] = {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0}
    stored["padding"] = {
        "strategy": {"Fixed": 9},
        "direction": "Left",
        "pad_id": 1,
        "pad_type_id": 0,
        "pad_token": "<pad>",
    }


def old_release(stored):
    for name in ("type", "byte_fallback", "ignore_merges", "fuse_unk"):
        del stored["model"][name]
    del stored["pre_tokenizer"]["use_regex"]


def template(stored):
    piece = lambda kind, name: {kind: {"id": name, "type_id": 0}}  # noqa: E731
    cls, sep = piece("SpecialToken", "<s>"), piece("SpecialToken", "</s>")
    first, second = piece("Sequence", "A"), piece("Sequence", "B")
    tokens = {name: {"id": name, "ids": [index], "tokens": [name]} for name, index in (("<s>", 0), ("</s>", 2))}
    processor = {"type": "TemplateProcessing", "single": [cls, first, sep], "pair": [cls, first, sep, sep, second, sep]}
    stored["post_processor"] = {**processor, "special_tokens": tokens}


def sequences(stored):
    template(stored)
    trim = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
    stored["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [stored["pre_tokenizer"]]}
    stored["post_processor"] = {"type": "Sequence", "processors": [trim, stored["post_processor"]]}
    stored["normalizer"] = {"type": "Sequence", "normalizers": []}


@pytest.mark.tokenizers
@pytest.mark.parametrize("change", [strings_for_merges, leftovers, old_release, template, sequences])
def test_other_spellings_of_the_same_are_read(tiny, stored, tmp_path, change):
    from tokenizers import Tokenizer

    change(stored)
    read(tmp_path, stored)
    library = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    library.no_truncation()
    library.no_padding()
    for kind in (RobertaTokenizer, RobertaTokenizerFast):
        tokenizer = kind.from_pretrained(tmp_path)
        for texts in (("the cat <mask>",), ("the", "cat é")):
            assert tokenizer(*texts).input_ids == tiny(*texts).input_ids == library.encode(*texts).ids


# Word for word what release 5.23 wrote for a tokenizer with one token added and one special token without a role; the
# model is left out.
RELEASE_5_CONFIG = """{"add_prefix_space": false, "backend": "tokenizers", "bos_token": "<s>",
 "clean_up_tokenization_spaces": false, "cls_token": "<s>", "eos_token": "</s>", "errors": "replace",
 "extra_special_tokens": ["<x>"], "is_local": true, "local_files_only": false, "mask_token": "<mask>",
 "model_input_names": ["input_ids", "attention_mask"], "model_max_length": 77, "pad_token": "<pad>",
 "padding_side": "right", "sep_token": "</s>", "split_special_tokens": false, "tokenizer_class": "RobertaTokenizer",
 "trim_offsets": true, "truncation_side": "right", "unk_token": "<unk>"}"""


def test_what_release_5_of_transformers_writes(stored, tmp_path):
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": True, "special": False}
    stored["added_tokens"] += [
        {**flags, "id": 273, "content": "<new>", "rstrip": True},
        {**flags, "id": 274, "content": "<x>", "normalized": False, "special": True},
    ]
    read(tmp_path, stored)
    (tmp_path / "tokenizer_config.json").write_text(RELEASE_5_CONFIG)
    tokenizer = RobertaTokenizer.from_pretrained(tmp_path)
    # What release 5.23 itself gives for these two:
    assert tokenizer("the <new>  cat <mask><x>the").input_ids == [0, 262, 224, 273, 263, 272, 274, 262, 2]
    assert tokenizer("a <mask>.").input_ids == [0, 68, 272, 17, 2]
    assert (tokenizer.model_max_length, tokenizer.additional_special_tokens) == (77, ["<x>"])


@pytest.mark.hf
def test_what_release_4_of_transformers_writes_carries_no_traces_of_calls_to_us(transformers, tiny, tmp_path):
    tiny.save_pretrained(tmp_path / "ours")
    peer = transformers.RobertaTokenizerFast.from_pretrained(tmp_path / "ours")
    peer(["the cat", "the"], padding="max_length", max_length=4, truncation=True)
    peer.save_pretrained(tmp_path / "theirs", legacy_format=False)
    assert json.loads((tmp_path / "theirs" / "tokenizer.json").read_text(encoding="utf-8"))["truncation"] is not None
    for kind in (RobertaTokenizer, RobertaTokenizerFast):
        mine = kind.from_pretrained(tmp_path / "theirs")
        assert mine("the cat sat on the mat").input_ids == tiny("the cat sat on the mat").input_ids
        mine(["the cat", "the"], padding="max_length", max_length=4, truncation=True)
        mine.save_pretrained(tmp_path / "again")
        saved = json.loads((tmp_path / "again" / "tokenizer.json").read_text(encoding="utf-8"))
        assert (saved["truncation"], saved["padding"]) == (None, None)


# -- what is refused ---------------------------------------------------------------------------------------------------

BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
OTHERS = [
    (("model", "type"), "Unigram", "model: expected type BPE, got 'Unigram'"),
    (("model", "type"), "WordPiece", "model: expected type BPE, got 'WordPiece'"),
    (("model", "dropout"), 0.1, "model.dropout: expected None or 0.0, got 0.1"),
    (("model", "byte_fallback"), True, "model.byte_fallback: expected False, got True"),
    (("model", "ignore_merges"), True, "model.ignore_merges: expected False, got True"),
    (("model", "fuse_unk"), True, "model.fuse_unk: expected False, got True"),
    (("model", "end_of_word_suffix"), "</w>", "model.end_of_word_suffix: expected None or '', got '</w>'"),
    (("model", "continuing_subword_prefix"), "##", "model.continuing_subword_prefix: expected None or '', got '##'"),
    (("normalizer",), {"type": "NFC"}, "normalizer: expected null, got {'type': 'NFC'}"),
    (("pre_tokenizer",), {"type": "Whitespace"}, "pre_tokenizer: expected type ByteLevel, got 'Whitespace'"),
    (("pre_tokenizer",), None, "pre_tokenizer: expected one ByteLevel, got None"),
    (("pre_tokenizer",), BYTE_LEVEL, "pre_tokenizer.use_regex: expected true, got False"),
    (("post_processor",), None, "post_processor: expected type RobertaProcessing or TemplateProcessing, got None"),
    (("post_processor",), {"type": "BertProcessing"}, "post_processor: expected type .*, got 'BertProcessing'"),
    (("decoder",), {"type": "Metaspace"}, "decoder: expected type ByteLevel, got 'Metaspace'"),
]
DAMAGED = [
    (("model",), None, "model: expected type BPE, got None"),
    (("model", "vocab"), ["a"], "model.vocab: expected an object of token -> id, got"),
    (("model", "vocab"), {"a": 0, "b": 0}, "expected each id once, got 0 for both 'a' and 'b'"),
    (("model", "vocab"), {"a": "0"}, "expected an integer id from 0 to below 2.31 for each token, got '0' for 'a'"),
    (("model", "merges"), {}, "model.merges: expected a list of pairs, got {}"),
    (("model", "merges"), [["a"]], r"model.merges\[0\]: expected two parts, .*, got \['a'\]"),
    (("model", "merges"), ["a b", "a b c"], r"model.merges\[1\]: expected two parts, .*, got 'a b c'"),
    (("model", "merges"), ["ab"], r"model.merges\[0\]: expected two parts, .*, got 'ab'"),
    (("model", "merges"), [[1, 2]], r"model.merges\[0\]: expected two parts, .*, got \[1, 2\]"),
    (("added_tokens",), {"<s>": 0}, "added_tokens: expected a list, got"),
    (("added_tokens",), [{"content": "<s>"}], r"added_tokens\[0\]: expected an object with id \(int\) and content"),
    (
        ("added_tokens",),
        [{"id": 0, "content": "<s>"}, {"id": 0, "content": "b"}],
        r"added_tokens\[1\].id: expected each",
    ),
    (("post_processor", "cls"), "<s>", r'post_processor.cls: expected a pair of token and id, as \["<s>", 0\], got'),
    (
        ("post_processor", "cls"),
        ["<s>", 1],
        "post_processor: expected the id 0 of '<s>' as elsewhere in the file, got 1",
    ),
    (("pre_tokenizer", "add_prefix_space"), None, "add_prefix_space: expected true or false, got None"),
    (("post_processor", "trim_offsets"), 1, "trim_offsets: expected true or false, got 1"),
    (("post_processor", "type"), ["x"], "post_processor: expected type .*, got"),
    (("post_processor",), ["x"], "post_processor: expected type .*, got"),
]


@pytest.mark.parametrize(("path", "value", "message"), OTHERS + DAMAGED)
def test_what_is_of_another_kind_or_damaged_is_refused(stored, tmp_path, path, value, message):
    *outer, name = path
    part = stored
    for key in outer:
        part = part[key]
    part[name] = value
    with pytest.raises(ValueError, match=rf"tokenizer.json: .*{message}.*; (the file is|fetch)"):
        read(tmp_path, stored)


def test_another_template_is_refused(stored, tmp_path):
    template(stored)
    stored["post_processor"]["pair"][4]["Sequence"]["type_id"] = 1
    with pytest.raises(ValueError, match=r"post_processor: expected the rows <s> \$A </s> and .*, types 0, got"):
        read(tmp_path, stored)


@pytest.mark.parametrize("size", [0, 1, 100, -1])
def test_a_file_that_breaks_off_is_damaged(stored, tmp_path, size):
    with pytest.raises(ValueError, match=r"tokenizer.json is not valid JSON .*; save or download it again"):
        read(tmp_path, json.dumps(stored)[:size])


@pytest.mark.parametrize("kind", [RobertaTokenizer, pytest.param(RobertaTokenizerFast, marks=pytest.mark.tokenizers)])
def test_merges_that_the_vocabulary_lacks(stored, tmp_path, kind):
    stored["model"]["merges"].append(["q", "zz"])
    read(tmp_path, stored)
    with pytest.raises(ValueError, match=r"merges: expected both parts .* \('q', 'zz'\) while vocab lacks 'zz'"):
        kind.from_pretrained(tmp_path)


def test_added_tokens_that_contradict_the_vocabulary(stored, tmp_path):
    stored["added_tokens"].append({"id": 5, "content": "<new>"})
    with pytest.raises(ValueError, match=r"added_tokens\[\d\].id: expected \d+, as the vocabulary or its size has it"):
        read(tmp_path, stored)


def test_rows_without_an_end_cannot_be_written(tiny, tmp_path):
    tokenizer = RobertaTokenizer(tiny._base, tiny._merges, sep_token=None)
    paths = tokenizer.save_pretrained(tmp_path)
    assert not any(path.endswith("tokenizer.json") for path in paths)
    with pytest.raises(ValueError, match="sep_token: expected a token"):
        tokenizer.save_pretrained(tmp_path, legacy_format=False)
