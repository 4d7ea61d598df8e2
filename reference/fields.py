"""Which fields a configuration has: their defaults, their types, and which of them a model's own may change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, FrozenInstanceError, dataclass, field, fields
from typing import Any, NoReturn, TypedDict, cast

#: The names that `layers.ACTIVATIONS` knows. A configuration computes nothing, so it does not import what does.
ACTIVATIONS = (
    "gelu", "gelu_new", "relu", "silu", "tanh", "swish", "gelu_pytorch_tanh", "gelu_python", "gelu_accurate",
    "gelu_fast", "gelu_10", "quick_gelu", "sigmoid", "mish", "relu2", "relu6", "leaky_relu", "linear",
)  # fmt: skip
POSITION_EMBEDDING_TYPES = ("absolute", "relative_key", "relative_key_query")
PROBLEM_TYPES = ("regression", "single_label_classification", "multi_label_classification")
FLOAT_TYPES = ("float64", "float32", "float16", "bfloat16")

#: Inherited fields that no model of ours reads: kept, written back when changed, otherwise without effect.
CARRIED: Mapping[str, Any] = {
    "torchscript": False, "is_encoder_decoder": False, "cross_attention_hidden_size": None,
    "tie_encoder_decoder": False, "finetuning_task": None, "task_specific_params": None, "tokenizer_class": None,
    "prefix": None, "sep_token_id": None, "decoder_start_token_id": None, "max_length": 20, "min_length": 0,
    "do_sample": False, "early_stopping": False, "num_beams": 1, "temperature": 1.0, "top_k": 50, "top_p": 1.0,
    "typical_p": 1.0, "repetition_penalty": 1.0, "length_penalty": 1.0, "no_repeat_ngram_size": 0,
    "encoder_no_repeat_ngram_size": 0, "bad_words_ids": None, "num_return_sequences": 1, "output_scores": False,
    "return_dict_in_generate": False, "forced_bos_token_id": None, "forced_eos_token_id": None,
    "remove_invalid_values": False, "exponential_decay_length_penalty": None, "suppress_tokens": None,
    "begin_suppress_tokens": None, "num_beam_groups": 1, "diversity_penalty": 0.0, "tf_legacy_loss": False,
    "use_bfloat16": False,
}  # fmt: skip

#: What clients look up in a configuration and no file has -> its value.
ASKED: Mapping[str, Any] = {"_commit_hash": None, "_name_or_path": "", "name_or_path": ""}

#: Written by other software about itself: not part of the model, so neither kept nor compared.
PROVENANCE = frozenset({"model_type", "transformers_version", "_name_or_path", "_commit_hash", "attn_implementation"})


@dataclass
class Fields:
    """The fields that models read. `RobertaConfig` adds the carried ones, the checks and the files."""

    vocab_size: int = 50265
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    pad_token_id: int = 1
    bos_token_id: int = 0
    eos_token_id: int = 2
    position_embedding_type: str = "absolute"
    use_cache: bool = True
    classifier_dropout: float | None = None
    _: KW_ONLY
    is_decoder: bool = False
    add_cross_attention: bool = False
    tie_word_embeddings: bool = True
    id2label: dict[int, str] | None = None
    label2id: dict[str, int] | None = None
    problem_type: str | None = None
    output_attentions: bool = False
    output_hidden_states: bool = False
    return_dict: bool = True
    chunk_size_feed_forward: int = 0
    pruned_heads: dict[int, list[int]] = field(default_factory=dict[int, list[int]])
    dtype: str | None = None
    architectures: list[str] | None = None


ROBERTA_FIELDS = tuple(spec.name for spec in fields(Fields) if not spec.kw_only)
FIELDS = frozenset(spec.name for spec in fields(Fields))
BOOLEANS = tuple(spec.name for spec in fields(Fields) if spec.type == "bool")
LABEL_NAMES = ("id2label", "label2id")
#: Other names that a configuration is made with.
SPECIAL = frozenset({"num_labels", "torch_dtype"})
#: Fields that a model reads anew at each call, or that are words about it.
FREE = frozenset(
    {"use_cache", "output_attentions", "output_hidden_states", "return_dict", "problem_type", "architectures"}
)


# -- what a model's own configuration may become -----------------------------------------------------------------------


def _refuse(self: Any, *_: Any, **__: Any) -> NoReturn:
    """What every method does that would change a list or dict of a frozen configuration."""
    message = "a model was made by this configuration; make another one by config.replace(...)"
    raise FrozenInstanceError(message)


class SealedList(list[Any]):
    """A list of a frozen configuration: read-only. Plain by `list(…)`."""

    __setitem__ = __delitem__ = __iadd__ = __imul__ = append = extend = insert = _refuse
    pop = remove = clear = reverse = _refuse
    sort = _refuse  # pyright: ignore[reportAssignmentType]

    def __reduce__(self) -> tuple[Any, ...]:
        return SealedList, (list(self),)


class Sealed(dict[Any, Any]):
    """A dict of a frozen configuration: read-only. Plain by `dict(…)`."""

    __setitem__ = __delitem__ = __ior__ = pop = popitem = clear = _refuse
    update = setdefault = _refuse  # pyright: ignore[reportAssignmentType]

    def __reduce__(self) -> tuple[Any, ...]:
        return Sealed, (dict(self),)


def has_as_many_labels(config: Fields, name: str, value: Any) -> bool:
    """Whether these are other names for the labels that there are."""
    return (
        name in LABEL_NAMES
        and isinstance(value, dict)
        and len(cast("dict[Any, Any]", value)) == len(getattr(config, name))
    )


def require_same(name: str, old: Any, value: Any) -> None:
    """A field of a frozen configuration stays what it is.

    Raises:
        FrozenInstanceError: another value, which would not fit the model; says how to make a configuration that does.
    """
    if value != old:
        message = (
            f"{name}: a model was made by this configuration, so it stays {old!r}. "
            f"Make another one by config.replace({name}={value!r})"
        )
        raise FrozenInstanceError(message)


# -- types, for editors and type checkers ------------------------------------------------------------------------------


class InheritedFields(TypedDict, total=False):
    """The fields of every HF configuration that change what a model computes or returns."""

    is_decoder: bool
    add_cross_attention: bool
    tie_word_embeddings: bool
    num_labels: int
    id2label: dict[int, str] | None
    label2id: dict[str, int] | None
    problem_type: str | None
    output_attentions: bool
    output_hidden_states: bool
    return_dict: bool
    chunk_size_feed_forward: int
    pruned_heads: dict[int, list[int]]
    architectures: list[str] | None


class ConfigOverrides(InheritedFields, total=False):
    """RoBERTa's own besides: what a model's `from_pretrained` takes by name to replace what the checkpoint says."""

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    hidden_act: str
    hidden_dropout_prob: float
    attention_probs_dropout_prob: float
    max_position_embeddings: int
    type_vocab_size: int
    initializer_range: float
    layer_norm_eps: float
    pad_token_id: int
    bos_token_id: int
    eos_token_id: int
    position_embedding_type: str
    use_cache: bool
    classifier_dropout: float | None


class CarriedFields(InheritedFields, total=False):
    """Those that are carried along besides, with the defaults of `CARRIED`, and the dtype."""

    dtype: Any
    torch_dtype: Any
    torchscript: bool
    is_encoder_decoder: bool
    cross_attention_hidden_size: int | None
    tie_encoder_decoder: bool
    finetuning_task: str | None
    task_specific_params: dict[str, Any] | None
    tokenizer_class: str | None
    prefix: str | None
    sep_token_id: int | None
    decoder_start_token_id: int | None
    max_length: int
    min_length: int
    do_sample: bool
    early_stopping: bool
    num_beams: int
    temperature: float
    top_k: int
    top_p: float
    typical_p: float
    repetition_penalty: float
    length_penalty: float
    no_repeat_ngram_size: int
    encoder_no_repeat_ngram_size: int
    bad_words_ids: list[list[int]] | None
    num_return_sequences: int
    output_scores: bool
    return_dict_in_generate: bool
    forced_bos_token_id: int | None
    forced_eos_token_id: int | None
    remove_invalid_values: bool
    exponential_decay_length_penalty: tuple[int, float] | None
    suppress_tokens: list[int] | None
    begin_suppress_tokens: list[int] | None
    num_beam_groups: int
    diversity_penalty: float
    tf_legacy_loss: bool
    use_bfloat16: bool


class ConfigFields(ConfigOverrides, CarriedFields, total=False):
    """All of them: what `RobertaConfig.replace` takes by name."""
