"""Which tokenizer a folder is of: RoBERTa's, CamemBERT's or XLM-RoBERTa's, by what its files say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias, cast

from ..files.places import HubOptions, locate
from ..reference.family import COMMUNITY, STRANGERS
from ..tokenizer import (
    CamembertTokenizer,
    CamembertTokenizerFast,
    RobertaTokenizer,
    RobertaTokenizerFast,
    XLMRobertaTokenizer,
    XLMRobertaTokenizerFast,
)
from ..tokenizer.files import read_json_object

AnyTokenizer: TypeAlias = "RobertaTokenizer | CamembertTokenizer | XLMRobertaTokenizer"

#: Family -> its pure class, and its fast one.
CLASSES: Mapping[str, tuple[type[Any], type[Any]]] = {
    "roberta": (RobertaTokenizer, RobertaTokenizerFast),
    "camembert": (CamembertTokenizer, CamembertTokenizerFast),
    "xlm-roberta": (XLMRobertaTokenizer, XLMRobertaTokenizerFast),
}
#: What `tokenizer_class` may say -> the family. Some others have RoBERTa's tokenizer under a name of their own.
NAMED: Mapping[str, str] = {
    **dict.fromkeys(("RobertaTokenizer", "BartTokenizer", "LongformerTokenizer", "LEDTokenizer"), "roberta"),
    "CamembertTokenizer": "camembert",
    "XLMRobertaTokenizer": "xlm-roberta",
}
#: The general classes of transformers, which say nothing.
_GENERAL = {"PreTrainedTokenizer", "TokenizersBackend"}
#: What `model_type` may say -> the family.
_MODELS: Mapping[str, str] = {
    **{name: name for name in CLASSES},
    **dict.fromkeys(("roberta-prelayernorm", "data2vec-text", "ibert", "bart", "longformer", "led"), "roberta"),
}
_PIECES, _BYTES = "sentencepiece.bpe.model", ("vocab.json", "merges.txt")
#: What is looked into, in this order.
_LOOKED_FOR = (
    "tokenizer_config.json (tokenizer_class), config.json (tokenizer_class, model_type), tokenizer.json (model)"
)


def load_tokenizer(
    folder_or_id: str | Path, *, fast: bool = False, use_fast: bool | None = None, **options: Any
) -> AnyTokenizer:
    """Load the tokenizer that a folder is of, whichever it is.

    Looked at are `tokenizer_class` in tokenizer_config.json, then `tokenizer_class` and `model_type` in config.json,
    and where none of them says it, what the vocabulary in tokenizer.json is like, and which files there are.

    Args:
        folder_or_id: a folder, the name of a shipped checkpoint, or an id on the hub.
        fast: whether to take the class on the `tokenizers` library. By default the pure one.
        use_fast: the same under the name that transformers' AutoTokenizer has for it; it wins where it is given.
        **options: of the class's `from_pretrained`: settings that win over the files, and those of the hub.

    Returns:
        A `RobertaTokenizer`, `CamembertTokenizer` or `XLMRobertaTokenizer`, or the fast one of these.

    Raises:
        FileNotFoundError: there is no such folder, or nothing of a tokenizer in it; says what was looked for.
        ValueError: the tokenizer is of another family, or a file is damaged.

    Example:
        >>> type(load_tokenizer("austen")).__name__
        'RobertaTokenizer'
    """
    hub = {name: options.pop(name) for name in HubOptions.__annotations__ if name in options}
    folder = locate(folder_or_id, ("*.json", "merges.txt", _PIECES), **hub)
    chosen = CLASSES[family_of(folder)][bool(fast if use_fast is None else use_fast)]
    return chosen.from_pretrained(folder, **{"name_or_path": str(folder_or_id), **options})


def family_of(folder: Path) -> str:
    """The family whose tokenizer lies in a folder.

    Args:
        folder: on disk.

    Returns:
        A key of `CLASSES`.

    Raises:
        FileNotFoundError: nothing in it says so.
        ValueError: it is of another family.
    """
    for file, key, known in (
        ("tokenizer_config.json", "tokenizer_class", NAMED),
        ("config.json", "tokenizer_class", NAMED),
        ("config.json", "model_type", _MODELS),
    ):
        said = read_json_object(folder / file).get(key) if (folder / file).is_file() else None
        name = str(said).removesuffix("Fast")
        if said is None or name in _GENERAL:
            continue
        name = COMMUNITY.get(name.lower().replace("-", "").replace("_", ""), name) if known is _MODELS else name
        if name not in known:
            raise _foreign(folder, file, key, said)
        return known[name]
    return _by_vocabulary(folder)


# -- pieces ----------------------------------------------------------------------------------------------------------


def _by_vocabulary(folder: Path) -> str:
    """The family by what the vocabulary is like, where no file names it."""
    if (folder / "tokenizer.json").is_file():
        stored = read_json_object(folder / "tokenizer.json").get("model")
        model = cast("dict[str, Any]", stored) if isinstance(stored, dict) else {"type": stored}
        kind = model.get("type", "BPE")
        first = _first_token(model.get("vocab"))
        if kind == "BPE":
            return "roberta"
        if kind == "Unigram" and first in _FIRST:
            return _FIRST[first]
        raise _foreign(folder, "tokenizer.json", "model.type", kind)
    there = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if all(name in there for name in _BYTES):
        return "roberta"
    if _PIECES in there:
        remedy = (
            f"{_PIECES} may be CamemBERT's or XLM-RoBERTa's, whose ids differ: call from_pretrained of the one that it "
            'is, or put {"tokenizer_class": …} into tokenizer_config.json'
        )
    else:
        remedy = f"fetch {' and '.join(_BYTES)}, {_PIECES}, or tokenizer.json from the checkpoint"
    message = (
        f"{folder}: looked for {_LOOKED_FOR}, {', '.join(_BYTES)} and {_PIECES}; found {there or 'nothing'}; {remedy}"
    )
    raise FileNotFoundError(message)


#: The token of id 0 of a unigram vocabulary -> the family.
_FIRST: Mapping[str, str] = {"<s>": "xlm-roberta", "<s>NOTUSED": "camembert"}


def _first_token(vocab: object) -> str:
    """The first of the pairs of token and score that tokenizer.json holds."""
    pairs = cast("list[Any]", vocab) if isinstance(vocab, list) else []
    pair = cast("list[Any]", pairs[0]) if pairs and isinstance(pairs[0], list) else []
    return str(pair[0]) if pair else ""


def _foreign(folder: Path, file: str, key: str, said: object) -> ValueError:
    why = STRANGERS[said][0] if isinstance(said, str) and said in STRANGERS else "it cuts texts in another way"
    return ValueError(
        f"{folder}: expected the tokenizer of RoBERTa, CamemBERT or XLM-RoBERTa, got {key} {said!r:.60} in {file}, "
        f"which is another ({why}); load it with transformers.AutoTokenizer, or, if its tokens are RoBERTa's all the "
        f"same, correct {key}, or call RobertaTokenizer with its files"
    )
