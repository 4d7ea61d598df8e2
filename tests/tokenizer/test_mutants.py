"""Damaged folders of tokenizers: refused by name when they are read, or tokenizers that work, alike in both classes.

    ROBERTA_TEST_MUTANTS=50000 python -m pytest tests/tokenizer/test_mutants.py -s

A few hundred are drawn in the suite. A mutant has up to three values of one of its files replaced, removed, renamed or
added. What is read must encode, decode, and come back from what it saves; the ids of a lone `tokenizer.json` are those
that the tokenizers library gives for the same file, where that reads it, too.
"""

import copy
import json
import os
import random
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from roberta.tokenizer import RobertaTokenizer, RobertaTokenizerFast
from roberta.tokenizer.pieces import BYTE_TO_SYMBOL

pytestmark = [
    pytest.mark.tokenizers,
    pytest.mark.filterwarnings("ignore"),  # what is no setting is kept, with a warning
]

COUNT = int(os.environ.get("ROBERTA_TEST_MUTANTS", "4000")) // 10
TEXTS = ["the hat in the newword <x><mask> a  b", "", "é😀 <s>"]
FILES = ("vocab.json", "merges.txt", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
NAMES = ("\ud800", "", "9" * 25, "-1", "pad_token", "padding_side", "extra_special_tokens", "model_max_length")
LINES = ("a", "", "a b c", "\x00 b", "é é", "Ġ t", "zz yy")
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2**31, 2**63, 2**70, 1.5, float("inf"), float("nan")),
    *("", "x", "\ud800", "left", "<s>", "<mask>", "a b", "\x00", "9" * 50),
    *([], [1], [None], [[]], ["\ud800"], {}, {"a": 1}, {"content": None}, {"content": "q"}),
    {"content": "z", "lstrip": "yes", "__type": "AddedToken"},
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all the files that a tokenizer may have."""
    entries = ["<s>", "<pad>", "</s>", "<unk>", *BYTE_TO_SYMBOL, "he", "Ġt", "Ġthe", "<mask>"]
    vocab = {entry: index for index, entry in enumerate(entries)}
    tokenizer = RobertaTokenizer(vocab, [("h", "e"), ("Ġ", "t"), ("Ġt", "he")], additional_special_tokens=["<x>"])
    tokenizer.add_tokens(["newword"])
    folder = tmp_path_factory.mktemp("mutants") / "whole"
    tokenizer.save_pretrained(folder)
    return folder


def places(value: Any, rng: random.Random, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to values inside a JSON value; of a long list or object, to some."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    some = rng.sample(keys, 12) if len(keys) > 40 else keys
    return [path, *(place for key in some for place in places(value[key], rng, (*path, key)))]


def mutant(value: Any, rng: random.Random) -> Any:
    """The same JSON value with one to three places changed."""
    found = copy.deepcopy(value)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        path, odd = rng.choice(places(found, rng)), copy.deepcopy(rng.choice(ODD))
        if not path:
            continue
        *outer, key = path
        part = found
        for name in outer:
            part = part[name]
        match rng.randrange(6):
            case 0 | 1 | 2:
                part[key] = odd
            case 3:
                del part[key]
            case _ if isinstance(part, list):
                part.append(odd)
            case 4:
                part[rng.choice(NAMES)] = odd
            case _:
                part[rng.choice(NAMES)] = part.pop(key)
    return found


def mutated(whole: Path, folder: Path, rng: random.Random) -> None:
    """A copy of a folder in which one file is a mutant, or from which files are gone."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(whole, folder)
    name = rng.choice([*FILES, "added_tokens.json"])
    if name.endswith(".json"):
        text = json.dumps(mutant(json.loads((folder / name).read_text()), rng))
        text = text.replace("{", '{"a": 1, "a": 2, ', 1) if rng.random() < 0.05 else text
    else:
        lines = (folder / name).read_text().split("\n")
        lines[rng.randrange(len(lines))] = rng.choice(LINES)
        text = "\n".join(lines)
    (folder / name).write_text(text)
    others = set(FILES) - {name} if name == "tokenizer.json" else {"tokenizer.json"} - {name}
    if rng.random() < 0.5:
        for other in others | ({"added_tokens.json"} if name == "tokenizer.json" else set()):
            (folder / other).unlink()


def outcome(kind: type[RobertaTokenizer], folder: Path) -> Any:
    """The ids of the texts, or None where the folder is refused; everything else is a failure."""
    try:
        tokenizer = kind.from_pretrained(folder)
    except (ValueError, OSError) as error:
        refusal = error
    else:
        return answers(kind, tokenizer, folder)
    assert not isinstance(refusal, UnicodeError), refusal
    assert str(folder) in str(refusal)
    _ = str(refusal).encode()
    return None


def answers(kind: type[RobertaTokenizer], tokenizer: RobertaTokenizer, folder: Path) -> Any:
    """The ids of the texts; every part of the tokenizer is used, and what it saves is read again."""
    ids = [tokenizer(text)["input_ids"] for text in TEXTS]
    for row in ids:
        _ = tokenizer.decode(row), tokenizer.decode(row, skip_special_tokens=True), tokenizer.convert_ids_to_tokens(row)
    _ = repr(tokenizer), len(tokenizer), tokenizer.all_special_ids, [tokenizer.tokenize(text) for text in TEXTS]
    tokenizer.save_pretrained(folder / "again")
    again = kind.from_pretrained(folder / "again")
    assert [again(text)["input_ids"] for text in TEXTS] == ids
    shutil.rmtree(folder / "again")
    return ids


def of_library(path: Path) -> Any:
    """The ids that the tokenizers library gives; None where it refuses the file, or panics over it.

    It knows no roles: those of a file that lists them as entries of the vocabulary only are told it, as transformers
    does.
    """
    try:
        found = tokenizers.Tokenizer.from_file(str(path))
    except BaseException as error:  # a panic of the library is no Exception
        if isinstance(error, KeyboardInterrupt):
            raise
        return None
    listed = {token.content for token in found.get_added_tokens_decoder().values()}
    roles = [
        token
        for token in ("<s>", "<pad>", "</s>", "<unk>")
        if token not in listed and found.token_to_id(token) is not None
    ]
    found.add_special_tokens([tokenizers.AddedToken(token, normalized=False, special=True) for token in roles])
    if "<mask>" not in listed:
        found.add_special_tokens([tokenizers.AddedToken("<mask>", lstrip=True, normalized=False, special=True)])
    return [found.encode(text).ids for text in TEXTS]


@pytest.mark.parametrize("part", range(4))
def test_a_damaged_folder_is_refused_or_works(part: int, whole: Path, tmp_path: Path) -> None:
    rng, counted = random.Random(part), Counter[str]()  # noqa: S311  (draws, no secrets)
    for number in range(COUNT // 4):
        folder = tmp_path / "mutant"
        mutated(whole, folder, rng)
        try:
            ids, fast = outcome(RobertaTokenizer, folder), outcome(RobertaTokenizerFast, folder)
            assert fast == ids, "the two classes differ"
            if ids is not None and {path.name for path in folder.iterdir()} == {"tokenizer.json"}:
                theirs = of_library(folder / "tokenizer.json")
                assert theirs in (None, ids), f"the library gives {theirs}, ours {ids}"
        except Exception as error:
            raise AssertionError(f"mutant {number} of part {part}: {error!r:.500}") from error
        counted["refused" if ids is None else "read"] += 1
    print(dict(counted))
    assert min(counted["refused"], counted["read"]) > COUNT // 40, counted
