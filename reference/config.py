"""The configuration: HF 4.57's fields, under HF's names, checked when they are set and not when they are used.

Three groups: the eighteen fields of RoBERTa itself, the inherited fields that change what a model computes or returns,
and the inherited fields that are only carried along (`CARRIED`), so that a config.json survives a round trip.
"""

from __future__ import annotations

import difflib
import inspect
import json
from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, Unpack, cast

from ..files.atomic import write_atomically
from ..files.objects import read_object
from ..files.places import HubOptions, locate
from .family import MEMBERS, member_of
from .fields import (
    ACTIVATIONS,
    ASKED,
    BOOLEANS,
    CARRIED,
    FIELDS,
    FLOAT_TYPES,
    FREE,
    LABEL_NAMES,
    POSITION_EMBEDDING_TYPES,
    PROBLEM_TYPES,
    PROVENANCE,
    ROBERTA_FIELDS,
    SPECIAL,
    CarriedFields,
    ConfigFields,
    Fields,
    Sealed,
    SealedList,
    has_as_many_labels,
    require_same,
)
from .published import require_sound


class PlacedFields(ConfigFields, HubOptions, total=False):
    """What `RobertaConfig.from_pretrained` takes by name: fields, and where in a repository they are."""


class RobertaConfig(Fields):
    """What a RoBERTa is, in numbers.

    The defaults are HF's, which are *not* those of roberta-base: that has `max_position_embeddings=514`,
    `layer_norm_eps=1e-5` and `type_vocab_size=1`.

    Args:
        vocab_size: V, rows of the word table and width of the language-model logits.
        hidden_size: D, a multiple of `num_attention_heads`.
        num_hidden_layers: N, 0 or more.
        num_attention_heads: H.
        intermediate_size: F, width of the feed-forward layer.
        hidden_act: activation of the feed-forward layer only; one of `ACTIVATIONS`.
        hidden_dropout_prob: in [0, 1]; after the embeddings and after every dense layer that ends a block.
        attention_probs_dropout_prob: in [0, 1]; on attention probabilities.
        max_position_embeddings: M, rows of the position table; `max_position_embeddings - pad_token_id - 1` tokens fit.
        type_vocab_size: rows of the token-type table.
        initializer_range: standard deviation of the initial weights.
        layer_norm_eps: added to the variance, inside the square root.
        pad_token_id: the padding id, which is also the offset of the position ids.
        bos_token_id: id of `<s>`.
        eos_token_id: id of `</s>`.
        position_embedding_type: "absolute", "relative_key" or "relative_key_query".
        use_cache: whether a decoder returns its keys and values.
        classifier_dropout: dropout of the sequence and token classifiers; None means `hidden_dropout_prob`.
        **inherited: `is_decoder`, `add_cross_attention`, `tie_word_embeddings`, `num_labels` or `id2label` /
            `label2id`, `problem_type`, `output_attentions`, `output_hidden_states`, `return_dict`,
            `chunk_size_feed_forward`, `pruned_heads`, `dtype`, `architectures`; any other name is kept and written
            back.

    Raises:
        ValueError: a value out of its range, or two that contradict each other.
        TypeError: a name that looks like a misspelt field, or a value of the wrong type.

    Source: HF `RobertaConfig` @ 4.57.6, which checks nothing when it is constructed.

    Example:
        >>> config = RobertaConfig(hidden_size=64, num_attention_heads=4, num_labels=3)
        >>> config.head_size, config.num_labels, config.id2label[2]
        (16, 3, 'LABEL_2')
        >>> RobertaConfig(hiden_size=64)
        Traceback (most recent call last):
        TypeError: RobertaConfig: no field 'hiden_size'. Did you mean 'hidden_size'?
    """

    extra: dict[str, Any]
    model_type = "roberta"

    if TYPE_CHECKING:  # the defaults are those above; a name of your own goes through `from_dict`

        def __init__(
            self,
            vocab_size: int = ...,
            hidden_size: int = ...,
            num_hidden_layers: int = ...,
            num_attention_heads: int = ...,
            intermediate_size: int = ...,
            hidden_act: str = ...,
            hidden_dropout_prob: float = ...,
            attention_probs_dropout_prob: float = ...,
            max_position_embeddings: int = ...,
            type_vocab_size: int = ...,
            initializer_range: float = ...,
            layer_norm_eps: float = ...,
            pad_token_id: int = ...,
            bos_token_id: int = ...,
            eos_token_id: int = ...,
            position_embedding_type: str = ...,
            use_cache: bool = ...,
            classifier_dropout: float | None = ...,
            **inherited: Unpack[CarriedFields],
        ) -> None: ...

    else:

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            known = {name: kwargs.pop(name) for name in list(kwargs) if name in FIELDS}
            num_labels = kwargs.pop("num_labels", None)
            if "torch_dtype" in kwargs:
                known.setdefault("dtype", kwargs.pop("torch_dtype"))
            for name in kwargs:
                _refuse_misspelling(name)
            self.extra = {name: value for name, value in kwargs.items() if name not in PROVENANCE}
            super().__init__(*args, **known)
            self._set_labels(num_labels)
            self.validate()

    def __copy__(self) -> Self:
        made = type(self).__new__(type(self))
        vars(made).update({**vars(self), "extra": dict(self.extra)})
        return made

    def __setattr__(self, name: str, value: Any) -> None:
        name = "dtype" if name == "torch_dtype" else name
        if name in FIELDS or name in {"extra", "num_labels"} | PROVENANCE or name.startswith("_"):
            if self.is_frozen:
                value = self._if_it_fits(name, value)
            super().__setattr__(name, value)
        else:  # somebody's own, or one that is carried along: it is written back
            _refuse_misspelling(name)
            self.extra[name] = value

    def __delattr__(self, name: str) -> None:
        if self.is_frozen and name in FIELDS:
            message = f"{name}: a model was made by this configuration; make another one by config.replace(...)"
            raise FrozenInstanceError(message)
        super().__delattr__(name)

    def _if_it_fits(self, name: str, value: Any) -> Any:
        """The value of a field of a frozen configuration, checked, if it may have it."""
        if name not in FREE and name in FIELDS | SPECIAL and not has_as_many_labels(self, name, value):
            require_same(name, getattr(self, name), value)
            return getattr(self, name)
        if name not in FIELDS:
            return value
        others: dict[str, Any] = {other: None for other in LABEL_NAMES if name in LABEL_NAMES and other != name}
        checked = self.from_dict({**self.to_dict(), **others}, **{name: value})
        for other in others:
            vars(self)[other] = Sealed(getattr(checked, other))
        return Sealed(getattr(checked, name)) if name in LABEL_NAMES else getattr(checked, name)

    def __getattr__(self, name: str) -> Any:
        extra = self.__dict__.get("extra", {})
        if name in extra:
            return extra[name]
        if name in CARRIED:
            return CARRIED[name]
        if name in ASKED:
            return ASKED[name]
        message = f"RobertaConfig has no field {name!r}{_suggestion(name)}"
        raise AttributeError(message)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RobertaConfig) and self.to_dict() == other.to_dict()

    __hash__ = None  # pyright: ignore[reportAssignmentType]  # mutable, as in HF

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self.to_json_string().rstrip()}"

    # -- a model's own -----------------------------------------------------------------------------------------------

    @property
    def is_frozen(self) -> bool:
        """Whether this is a model's own configuration, whose sizes are those of its weights."""
        return self.__dict__.get("_is_frozen", False)

    def frozen(self) -> Self:
        """A copy for a model: what its weights and layers were made by cannot be edited any more.

        Fields that are read anew at each call can: `use_cache`, `output_attentions`, `output_hidden_states`,
        `return_dict`, `problem_type`; and the names of the labels, as long as there are as many.

        Example:
            >>> config = RobertaConfig(num_labels=3).frozen()
            >>> config.id2label = {0: "no", 1: "yes", 2: "maybe"}
            >>> config.num_labels = 4
            Traceback (most recent call last):
            dataclasses.FrozenInstanceError: num_labels: a model was made by this configuration, so it stays 3...
        """
        own = self.replace()
        heads = {layer: SealedList(heads) for layer, heads in own.pruned_heads.items()}
        labels = {name: Sealed(getattr(own, name)) for name in LABEL_NAMES}
        vars(own).update(labels, pruned_heads=Sealed(heads), _is_frozen=True)
        return own

    # -- what follows from the fields ------------------------------------------------------------------------------

    @property
    def head_size(self) -> int:
        """K, the width of one attention head."""
        return self.hidden_size // self.num_attention_heads

    @property
    def usable_length(self) -> int:
        """The most tokens a row may hold: positions `pad + 1 … M - 1` (relative types have no table to run out of)."""
        if self.position_embedding_type != "absolute":
            return self.max_position_embeddings
        return self.max_position_embeddings - self.pad_token_id - 1

    @property
    def num_labels(self) -> int:
        """The length of `id2label`; setting it rebuilds the label names if the count changes."""
        return len(self.id2label or {})

    @num_labels.setter
    def num_labels(self, count: int) -> None:
        if count != self.num_labels:
            self.id2label, self.label2id = None, None
            self._set_labels(count)

    @property
    def classifier_dropout_prob(self) -> float:
        """`classifier_dropout`, or `hidden_dropout_prob` where that is None."""
        return self.hidden_dropout_prob if self.classifier_dropout is None else self.classifier_dropout

    @property
    def use_return_dict(self) -> bool:
        """Whether a call that does not say it returns a record: `return_dict`, unless `torchscript` wants tuples."""
        return self.return_dict and not self.torchscript

    def get_text_config(self, decoder: bool = False) -> Self:
        """Itself: of models that read pictures too, it would be the part for texts."""
        return self

    def attention_head_count(self, layer: int) -> int:
        """Heads that layer `layer` still has after pruning."""
        return self.num_attention_heads - len(self.pruned_heads.get(layer, []))

    # -- checks ----------------------------------------------------------------------------------------------------

    def _set_labels(self, num_labels: int | None) -> None:
        for name in ("id2label", "label2id"):
            if not isinstance(getattr(self, name), dict | None):
                message = f"{name}: required a dict, got {type(getattr(self, name)).__name__}"
                raise TypeError(message)
        if self.id2label is None and self.label2id is not None:
            self.id2label = {int(index): label for label, index in self.label2id.items()}
        if self.id2label is None:
            self.id2label = {index: f"LABEL_{index}" for index in range(2 if num_labels is None else num_labels)}
        self.id2label = {int(index): label for index, label in self.id2label.items()}
        if self.label2id is None:
            self.label2id = {label: index for index, label in self.id2label.items()}
        if num_labels is not None and num_labels != len(self.id2label):
            message = (
                f"num_labels={num_labels} contradicts id2label, which has {len(self.id2label)} entries. "
                "Give one of the two, or make them agree."
            )
            raise ValueError(message)

    def validate(self) -> None:
        """Check every field against its range and against the others; a model does this again when it is built.

        Raises:
            ValueError: naming the field, what it must be, and what it is.
            TypeError: a value of the wrong type.
        """
        for name in ("vocab_size", "hidden_size", "num_attention_heads", "intermediate_size", "type_vocab_size"):
            self._require_integer(name, minimum=1)
        for name in ("num_hidden_layers", "chunk_size_feed_forward", "pad_token_id"):
            self._require_integer(name, minimum=0)
        self._require_integer("max_position_embeddings", minimum=1)
        for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout_prob"):
            self._require_real(name, at_most=1.0)
        self._require_real("initializer_range")
        self._require_real("layer_norm_eps")
        for name in BOOLEANS:
            if not isinstance(getattr(self, name), bool):
                message = f"{name}: required True or False, got {getattr(self, name)!r}"
                raise TypeError(message)
        self._require_member("hidden_act", ACTIVATIONS)
        self._require_member("position_embedding_type", POSITION_EMBEDDING_TYPES)
        self._require_member("problem_type", (*PROBLEM_TYPES, None))
        self.dtype = None if self.dtype is None else str(self.dtype).removeprefix("torch.")
        self._require_member("dtype", (*FLOAT_TYPES, None))
        self._require_consistency()
        self._normalise_pruned_heads()

    def _require_integer(self, name: str, minimum: int) -> None:
        value = getattr(self, name)
        if isinstance(value, bool) or not isinstance(value, int):
            message = f"{name}: required an integer of at least {minimum}, got {value!r} ({type(value).__name__})"
            raise TypeError(message)
        if value < minimum:
            message = f"{name}: required an integer of at least {minimum}, got {value}"
            raise ValueError(message)

    def _require_real(self, name: str, at_most: float = float("inf")) -> None:
        value = getattr(self, name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            message = f"{name}: required a number, got {value!r} ({type(value).__name__})"
            raise TypeError(message)
        if not 0.0 <= value <= at_most:
            message = f"{name}: required a number in [0, {at_most:g}], got {value}"
            raise ValueError(message)

    def _require_member(self, name: str, allowed: tuple[str | None, ...]) -> None:
        value = getattr(self, name)
        if value in allowed:
            return
        names = [choice for choice in allowed if choice is not None]
        near = difflib.get_close_matches(str(value), names, n=1)
        message = f"{name}: required one of {names}, got {value!r}." + (f" Did you mean {near[0]!r}?" if near else "")
        raise ValueError(message)

    def _require_consistency(self) -> None:
        if self.hidden_size % self.num_attention_heads:
            message = (
                f"hidden_size={self.hidden_size} must be a multiple of num_attention_heads={self.num_attention_heads}"
            )
            raise ValueError(message)
        if self.pad_token_id >= self.vocab_size:
            message = f"pad_token_id={self.pad_token_id} must be below vocab_size={self.vocab_size}"
            raise ValueError(message)
        if self.usable_length < 1 or self.pad_token_id >= self.max_position_embeddings:
            message = (
                f"max_position_embeddings={self.max_position_embeddings} leaves no room for a token: position ids "
                f"start at pad_token_id + 1 = {self.pad_token_id + 1}. Give at least {self.pad_token_id + 2}."
            )
            raise ValueError(message)
        if self.add_cross_attention and not self.is_decoder:
            message = "add_cross_attention=True requires is_decoder=True: only a decoder attends to an encoder"
            raise ValueError(message)

    def _normalise_pruned_heads(self) -> None:
        N = self.num_hidden_layers
        pruned = heads_by_layer(self.pruned_heads, N)
        for layer, heads in pruned.items():
            if not 0 <= layer < N or any(not 0 <= head < self.num_attention_heads for head in heads):
                message = (
                    f"pruned_heads: required layers in [0, {self.num_hidden_layers}) and heads in "
                    f"[0, {self.num_attention_heads}), got layer {layer} with heads {heads}"
                )
                raise ValueError(message)
            if len(heads) == self.num_attention_heads:
                message = f"pruned_heads: layer {layer} would have no head left; keep at least one"
                raise ValueError(message)
        if pruned != {layer: list(heads) for layer, heads in self.pruned_heads.items()} or not all(pruned.values()):
            self.pruned_heads = {layer: heads for layer, heads in pruned.items() if heads}

    # -- dictionaries and files --------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Every field, the carried and the unknown ones included, as plain Python values."""
        own = {spec.name: getattr(self, spec.name) for spec in fields(Fields)}
        own |= {name: dict(own[name]) for name in LABEL_NAMES}
        own["pruned_heads"] = {layer: list(heads) for layer, heads in self.pruned_heads.items()}
        own["architectures"] = None if self.architectures is None else list(self.architectures)
        return {**CARRIED, **self.extra, **own, "model_type": self.model_type}

    def to_diff_dict(self) -> dict[str, Any]:
        """The eighteen RoBERTa fields, and the others where they differ from their default."""
        family = MEMBERS.get(self.model_type, MEMBERS["roberta"])
        defaults = {**RobertaConfig().to_dict(), **family.defaults}
        everything = self.to_dict()
        always = {*ROBERTA_FIELDS, "model_type"}
        return {
            name: value
            for name, value in everything.items()
            if name in always or name not in defaults or value != defaults[name]
        }

    def to_json_string(self, use_diff: bool = True) -> str:
        """JSON as HF writes it: sorted keys, an indent of 2, a final newline."""
        content = self.to_diff_dict() if use_diff else self.to_dict()
        return json.dumps(content, indent=2, sort_keys=True) + "\n"

    def to_json_file(self, json_file_path: str | Path, use_diff: bool = True) -> None:
        """Write `to_json_string` to a file, beside it first and then renamed."""
        write_atomically(Path(json_file_path), self.to_json_string(use_diff).encode())

    def save_pretrained(self, save_directory: str | Path) -> None:
        """Write `config.json` into a folder, which is made if it is missing."""
        self.to_json_file(Path(save_directory) / "config.json")

    @classmethod
    def from_dict(cls, config_dict: Mapping[str, Any], **overrides: Unpack[ConfigFields]) -> Self:
        """Build from a dictionary; `overrides` win.

        Args:
            config_dict: as `to_dict` gives, or the content of a config.json; unknown keys are kept.
            **overrides: fields to replace. An unknown name is a TypeError, as a misspelt one would have no effect.
        """
        for name in overrides:
            if name not in FIELDS and name not in CARRIED and name not in {"num_labels", "torch_dtype"}:
                message = f"RobertaConfig: no field {name!r} to override.{_suggestion(name)}"
                raise TypeError(message)
        content = {name: value for name, value in config_dict.items() if name not in PROVENANCE}
        if "num_labels" in overrides and not {"id2label", "label2id"} & set(overrides):
            content = {name: value for name, value in content.items() if name not in {"id2label", "label2id"}}
            if overrides["num_labels"] == len(config_dict.get("id2label") or ()):
                content |= {name: config_dict[name] for name in ("id2label", "label2id") if name in config_dict}
        return cls._unchecked({**content, **overrides})

    @classmethod
    def _unchecked(cls, content: Mapping[str, Any]) -> Self:
        """Build with unknown names accepted: files of other software carry fields of their own."""
        unknown = {name: value for name, value in content.items() if name not in FIELDS and name not in SPECIAL}
        config = cls(**{name: value for name, value in content.items() if name not in unknown})
        config.extra |= unknown
        return config

    @classmethod
    def from_json_file(cls, json_file: str | Path, **overrides: Unpack[ConfigFields]) -> Self:
        """Read a config.json.

        Raises:
            FileNotFoundError: no such file.
            ValueError: not JSON, not an object, or of a model that is none of RoBERTa's family; says what differs. Or
                what no checkpoint has, such as an id outside the vocabulary.
        """
        path = Path(json_file)
        if not path.is_file():
            message = f"no config.json at {path}: give a folder that holds one, or the file itself"
            raise FileNotFoundError(message)
        content = read_object(path)
        content = (
            cast("dict[str, Any]", content) if isinstance(content, dict) else {"model_type": type(content).__name__}
        )
        found = member_of(content.get("model_type", cls.model_type), path)
        whole = {**MEMBERS[found].defaults, **content}
        require_sound(whole, path)
        try:
            return cls.from_dict(whole, **overrides)
        except (TypeError, ValueError):
            _require_own(cls, whole, path)
            raise

    @classmethod
    def from_pretrained(cls, folder_or_file: str | Path, **overrides: Unpack[PlacedFields]) -> Self:
        """Read the config of a checkpoint: a folder, the name of a shipped one, an id on the hub, or a JSON file.

        Args:
            folder_or_file: where it is.
            **overrides: fields in place of the file's; and `revision`, `token`, …, as `files.places.HubOptions` says.

        Raises:
            FileNotFoundError, TypeError: no such place; see `files.places.locate`.
            ValueError: see `from_json_file`.

        Example:
            >>> RobertaConfig.from_pretrained("austen", num_labels=3).num_labels
            3
        """
        fields = cast("dict[str, Any]", overrides)
        hub = {name: fields.pop(name) for name in HubOptions.__annotations__ if name in fields}
        if str(folder_or_file).endswith(".json"):
            return cls.from_json_file(folder_or_file, **fields)
        return cls.from_json_file(locate(folder_or_file, ["config.json"], **hub) / "config.json", **fields)

    def replace(self, **changes: Unpack[ConfigFields]) -> Self:
        """A copy with some fields changed, checked again.

        Example:
            >>> RobertaConfig().replace(layer_norm_eps=1e-5).layer_norm_eps
            1e-05
        """
        return self.from_dict(self.to_dict(), **changes)

    def update(self, config_dict: Mapping[str, Any]) -> None:
        """Set several fields at once, if the whole passes the checks; otherwise nothing is changed."""
        tried = copy(self)
        for config in (tried, self):
            for name, value in config_dict.items():
                setattr(config, name, value)
            config.validate()


def heads_by_layer(heads: Mapping[int, Iterable[int]], count: int) -> dict[int, list[int]]:
    """Layer -> heads, where layers may be counted from the end, too: -1 is the last.

    Example:
        >>> heads_by_layer({-1: [2], 1: [0, 2]}, 2)
        {1: [0, 2]}
    """
    found: dict[int, set[int]] = {}
    for layer, which in heads.items():
        found.setdefault(int(layer) + count * (int(layer) < 0), set()).update(map(int, which))
    return {layer: sorted(which) for layer, which in found.items()}


RobertaConfig.__signature__ = inspect.signature(Fields)  # pyright: ignore[reportAttributeAccessIssue]


def _suggestion(name: str) -> str:
    near = difflib.get_close_matches(name, [*FIELDS, "num_labels"], n=1, cutoff=0.8)
    return f" Did you mean {near[0]!r}?" if near else ""


def _refuse_misspelling(name: str) -> None:
    """A name close to a field is an error; one far from all is somebody's own and is kept."""
    if name not in CARRIED and name not in PROVENANCE and _suggestion(name):
        message = f"RobertaConfig: no field {name!r}.{_suggestion(name)}"
        raise TypeError(message)


def _require_own(kind: type[RobertaConfig], fields: Mapping[str, Any], path: Path) -> None:
    """Name the file, where its own fields make no config, whatever is passed beside them."""
    try:
        kind.from_dict(fields)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}; correct the file, or download it again") from error
