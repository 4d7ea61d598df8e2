"""A tokenizer folder: whichever files it holds, both classes read it alike; two files that contradict are refused."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from roberta.tokenizer import AddedToken, RobertaTokenizer, RobertaTokenizerFast
from roberta.tokenizer.folder import read_folder

TEXT = "the cat <mask> sat é"
KINDS = [RobertaTokenizer, pytest.param(RobertaTokenizerFast, marks=pytest.mark.tokenizers)]
PAIR, WHOLE = {"vocab.json", "merges.txt"}, {"tokenizer.json"}
CONFIG = {"tokenizer_config.json", "special_tokens_map.json"}


@pytest.fixture
def folder(tiny, tmp_path):
    tiny.save_pretrained(tmp_path / "folder")
    return tmp_path / "folder"


def keep(folder, names):
    for path in folder.iterdir():
        if path.name not in names:
            path.unlink()


def change(path, edit):
    """Edit a JSON file."""
    value = json.loads(path.read_text(encoding="utf-8"))
    edit(value)
    path.write_text(json.dumps(value), encoding="utf-8")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("names", [PAIR, WHOLE, PAIR | WHOLE, PAIR | CONFIG, WHOLE | CONFIG, {"vocab.json"} | WHOLE])
def test_any_sufficient_set_of_files(tiny, folder, kind, names):
    keep(folder, names)
    tokenizer = kind.from_pretrained(folder)
    assert tokenizer(TEXT).input_ids == tiny(TEXT).input_ids
    assert tokenizer.added_tokens_decoder == tiny.added_tokens_decoder
    assert tokenizer.name_or_path == str(folder)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("names", [set(), CONFIG, {"vocab.json"}, {"merges.txt"}])
def test_what_is_lacking_is_said(folder, kind, names):
    keep(folder, names)
    found = ", ".join(sorted(names)) or "nothing"
    with pytest.raises(FileNotFoundError, match=rf"expected tokenizer.json, or vocab.json and merges.txt, .*{found}; "):
        kind.from_pretrained(folder)


@pytest.mark.parametrize("legacy_format", [None, True, False])
def test_the_files_that_are_written(tiny, tmp_path, legacy_format):
    paths = tiny.save_pretrained(tmp_path / "a" / "b", legacy_format=legacy_format, filename_prefix="my")
    wanted = CONFIG | (WHOLE if legacy_format is not True else set()) | (PAIR if legacy_format is not False else set())
    assert {path.name for path in (tmp_path / "a" / "b").iterdir()} == {f"my-{name}" for name in wanted}
    assert sorted(paths) == sorted(map(str, (tmp_path / "a" / "b").iterdir()))


@pytest.mark.tokenizers
def test_both_classes_write_the_same_bytes(tiny, tmp_path):
    tiny.save_pretrained(tmp_path / "pure")
    RobertaTokenizerFast.from_tokenizer(tiny).save_pretrained(tmp_path / "fast")
    for path in (tmp_path / "pure").iterdir():
        assert path.read_bytes() == (tmp_path / "fast" / path.name).read_bytes()


def test_files_that_contradict_each_other_are_refused(folder):
    shutil.copytree(folder, folder.parent / "other")
    other = folder.parent / "other"
    change(other / "vocab.json", lambda vocab: vocab.update({"a": vocab["b"], "b": vocab["a"]}))
    with pytest.raises(ValueError, match=r"expected vocab.json and tokenizer.json to say the same, got the ids"):
        read_folder(other)
    shutil.copy(folder / "vocab.json", other)
    lines = (other / "merges.txt").read_text(encoding="utf-8").splitlines()
    (other / "merges.txt").write_text("\n".join([*lines[:3], lines[4], lines[3], *lines[5:]]), encoding="utf-8")
    with pytest.raises(
        ValueError, match=r"merges.txt and tokenizer.json .* merges, which part at rank 2; remove the one"
    ):
        read_folder(other)
    (other / "merges.txt").write_text("\n".join(lines[:-1]), encoding="utf-8")
    with pytest.raises(
        ValueError, match=rf"got {len(lines) - 2} and {len(lines) - 1} merges, .* rank {len(lines) - 2};"
    ):
        read_folder(other)


def test_roles_that_contradict_each_other_are_refused(folder):
    change(folder / "tokenizer_config.json", lambda config: config.update({"cls_token": "<unk>"}))
    with pytest.raises(ValueError, match=r"to say the same, got '<unk>' and '<s>' for cls_token; correct"):
        read_folder(folder)


def test_settings_win_over_the_tokenizer_file_and_arguments_over_both(folder):
    change(folder / "tokenizer.json", lambda whole: whole["pre_tokenizer"].update(add_prefix_space=True))
    assert RobertaTokenizer.from_pretrained(folder).add_prefix_space is False
    change(folder / "tokenizer_config.json", lambda config: config.pop("add_prefix_space"))
    assert RobertaTokenizer.from_pretrained(folder).add_prefix_space is True
    assert RobertaTokenizer.from_pretrained(folder, add_prefix_space=False).add_prefix_space is False


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("model_max_length", "512", "model_max_length: expected int or None, got str '512'"),
        ("model_max_length", True, "model_max_length: expected int or None, got bool True"),
        ("padding_side", 1, "padding_side: expected str, got int 1"),
        (
            "additional_special_tokens",
            "<x>",
            "additional_special_tokens: expected list or tuple or None, got str '<x>'",
        ),
        ("model_input_names", "input_ids", "model_input_names: expected list or tuple, got str"),
        ("added_tokens_decoder", [], "added_tokens_decoder: expected dict or None, got list"),
        ("trim_offsets", "yes", "trim_offsets: expected bool, got str 'yes'"),
    ],
)
def test_a_setting_of_a_wrong_type_is_named(folder, setting, value, message):
    change(folder / "tokenizer_config.json", lambda config: config.update({setting: value}))
    said = rf"{message}.*; correct it where it is passed or in tokenizer_config.json"
    with pytest.raises(ValueError, match=f"folder: {said}"):
        RobertaTokenizer.from_pretrained(folder)


@pytest.mark.parametrize(
    ("settings", "length"),
    [('{"max_len": 512}', 512), ('{"max_len": 512, "model_max_length": 7}', 7), ('{"model_max_length": 1e30}', 10**30)],
)
def test_the_longest_row_in_the_spellings_of_other_programs(folder, settings, length):
    (folder / "tokenizer_config.json").write_text(settings, encoding="utf-8")
    read = RobertaTokenizer.from_pretrained(folder)
    assert read.model_max_length == (length if length < 10**30 else int(1e30))
    read.save_pretrained(folder)
    assert "max_len" not in json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_alone_does_not_say_how_a_token_is_matched(tiny, folder, kind):
    """An old added_tokens.json has names and ids: how they are matched is as the role has it, or tokenizer.json."""
    (folder / "added_tokens.json").write_text(json.dumps({"<mask>": tiny.mask_token_id}), encoding="utf-8")
    keep(folder, PAIR | {"added_tokens.json"})
    assert kind.from_pretrained(folder)(TEXT).input_ids == tiny(TEXT).input_ids
    more = kind.from_pretrained(folder)
    more.add_tokens([AddedToken("<new>", lstrip=True)])
    more.save_pretrained(folder)
    keep(folder, WHOLE | {"added_tokens.json"})
    assert kind.from_pretrained(folder)("a <new>").input_ids == more("a <new>").input_ids


@pytest.mark.parametrize("kind", KINDS)
def test_what_names_no_folder_is_said(kind):
    with pytest.raises(FileNotFoundError, match="no checkpoint ''"):  # and not what lies in the current folder
        kind.from_pretrained("")
    with pytest.raises(TypeError, match=r"required a folder, .* got int 3"):
        kind.from_pretrained(3)


def test_ids_of_added_tokens_are_numbers(folder):
    change(folder / "tokenizer_config.json", lambda config: config.update(added_tokens_decoder={"x": "<new>"}))
    with pytest.raises(ValueError, match="added_tokens_decoder: expected ids for keys, got 'x'; fetch"):
        RobertaTokenizer.from_pretrained(folder)


def test_roles_of_release_4_beside_the_seven_are_special_tokens(folder):
    change(folder / "tokenizer_config.json", lambda config: config.update(extra_special_tokens={"image_token": "<i>"}))
    assert RobertaTokenizer.from_pretrained(folder).additional_special_tokens == ["<i>"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("file", "key", "name"),
    [
        ("tokenizer_config.json", "tokenizer_class", "CLIPTokenizer"),
        ("tokenizer_config.json", "tokenizer_class", "GPT2TokenizerFast"),
        ("tokenizer_config.json", "tokenizer_class", "XLMRobertaTokenizer"),
        ("config.json", "tokenizer_class", "BertweetTokenizer"),
        ("config.json", "model_type", "gpt2"),
        ("config.json", "model_type", "xlm-roberta"),
    ],
)
def test_the_folder_of_another_model_is_refused(folder, kind, file, key, name):
    keep(folder, PAIR | {"tokenizer_config.json"})
    change(folder / "tokenizer_config.json", lambda config: config.pop("tokenizer_class"))
    (folder / "config.json").write_text("{}", encoding="utf-8")
    change(folder / file, lambda config: config.update({key: name}))
    message = rf"expected the tokenizer of a RoBERTa, got {key} '{name}' in {file}; load it with the class .* correct"
    with pytest.raises(ValueError, match=message):
        kind.from_pretrained(folder)


def test_a_sentencepiece_of_another_model_is_not_said_to_be_damaged(folder):
    """As XLM-RoBERTa's folder is: of the files that a RoBERTa has it holds none."""
    keep(folder, set())
    (folder / "sentencepiece.bpe.model").write_bytes(b"\n\x0e")
    (folder / "tokenizer.json").write_text('{"model": {"type": "Unigram"}}', encoding="utf-8")
    (folder / "config.json").write_text('{"model_type": "xlm-roberta"}', encoding="utf-8")
    with pytest.raises(ValueError, match=r"got model_type 'xlm-roberta' in config\.json; load it with the class"):
        RobertaTokenizer.from_pretrained(folder)


@pytest.mark.parametrize(
    ("file", "key", "name"),
    [
        ("tokenizer_config.json", "tokenizer_class", "RobertaTokenizerFast"),
        ("tokenizer_config.json", "tokenizer_class", "BartTokenizer"),
        ("tokenizer_config.json", "tokenizer_class", "PreTrainedTokenizerFast"),
        ("tokenizer_config.json", "tokenizer_class", None),
        ("config.json", "model_type", "longformer"),
    ],
)
def test_other_names_of_its_tokenizer_are_known(tiny, folder, file, key, name):
    change(folder / "tokenizer_config.json", lambda config: config.pop("tokenizer_class"))
    (folder / "config.json").write_text("{}", encoding="utf-8")
    change(folder / file, lambda config: config.update({key: name}))
    assert RobertaTokenizer.from_pretrained(folder)(TEXT).input_ids == tiny(TEXT).input_ids


@pytest.mark.parametrize("kind", KINDS)
def test_a_tokenizer_that_comes_with_the_package(kind):
    assert kind.from_pretrained("austen").decode(kind.from_pretrained("austen")("Emma <mask>").input_ids)


@pytest.mark.parametrize("kind", KINDS)
def test_an_id_on_the_hub(tiny, tmp_path, kind):
    pytest.importorskip("huggingface_hub", reason="the extra `hub`")
    home = tmp_path / "models--some-owner--some-model"
    commits = {"main": "0123456789abcdef0123456789abcdef01234567", "v2": "89abcdef0123456789abcdef0123456789abcdef"}
    (home / "refs").mkdir(parents=True)
    for name, commit in commits.items():
        (home / "refs" / name).write_text(commit)
    tiny.save_pretrained(home / "snapshots" / commits["main"])
    RobertaTokenizer.train(["x"], 261).save_pretrained(home / "snapshots" / commits["v2"] / "inside")
    options = {"cache_dir": str(tmp_path), "local_files_only": True, "token": False}
    code = f"from roberta import {kind.__name__} as T; options = {options}; name = 'some-owner/some-model'; "
    code += f"main = T.from_pretrained(name, **options); print(main({TEXT!r}).input_ids, main.name_or_path); "
    code += "print(T.from_pretrained(name, revision='v2', subfolder='inside', **options).vocab_size)"
    # In a process of its own, so that no other test has told the client to be offline.
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.splitlines() == [f"{tiny(TEXT).input_ids} some-owner/some-model", "261"]


def test_what_the_hub_is_asked_for_changes_nothing_for_a_folder(tiny, folder):
    options = {"revision": "main", "token": True, "cache_dir": folder.parent, "local_files_only": True}
    found = RobertaTokenizer.from_pretrained(folder.parent, subfolder="folder", **options, force_download=True)
    assert found(TEXT).input_ids == tiny(TEXT).input_ids


SETS_FOR_THE_PEER = {
    "RobertaTokenizer": [PAIR, PAIR | CONFIG, PAIR | WHOLE | CONFIG],  # it reads no tokenizer.json
    "RobertaTokenizerFast": [PAIR, WHOLE, PAIR | CONFIG, WHOLE | CONFIG, PAIR | WHOLE | CONFIG],
}


@pytest.mark.hf
@pytest.mark.parametrize(("kind", "names"), [(kind, each) for kind, sets in SETS_FOR_THE_PEER.items() for each in sets])
def test_the_peer_reads_what_we_write_with_the_same_ids(transformers, tiny, folder, kind, names):
    keep(folder, names)
    peer = getattr(transformers, kind).from_pretrained(folder)
    for text in (TEXT, "<mask> the<s>  </s>\n", "x <mask>."):
        assert peer(text).input_ids == tiny(text).input_ids
