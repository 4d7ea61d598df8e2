"""The PyTorch classes of transformers: every head, with taps by hooks, caches as tuples, and other weights.

Known departures of its 4.57 from the spec, which an audit is to find, and `describe` lists where the configuration has
them: with a cache, relative positions take every query for the last token, and positions of embeddings, or of rows that
are padded on the left, start anew; a (B, C, T, S) mask of multiple choice is flattened to the wrong rank; labels that
are all ignored give NaN; the causal loss is computed in float32.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import numpy as np

from ...reference.attention import split_heads
from ...reference.inputs import SIGNATURES
from ...reference.layers import Array
from ...reference.outputs import to_numpy
from ...reference.parameters import CLASS_NAMES
from ..candidates import Candidate, CandidateError, Capabilities
from . import wrapped
from .models import accepted
from .modules import ModuleCandidate

#: The end of a module's path -> the tap of its input, and that of its output. `{0}` is the path, `{1}` that of its
#: owner. The first that fits counts.
PLACES: tuple[tuple[str, str, str], ...] = (
    ("lm_head.layer_norm", "{1}.gelu", "{0}.output"),
    ("LayerNorm", "{1}.sum", "{0}.output"),
    ("self.query", "", "{0}"),
    ("self.key", "", "{0}"),
    ("self.value", "", "{0}"),
    ("attention.self", "", "{0}.context"),
    ("crossattention.self", "", "{0}.context"),
    ("classifier.out_proj", "{1}.tanh", ""),
    ("dense", "", "{0}"),
    ("intermediate", "", "{0}.output"),
    ("pooler", "", "{0}.output"),
    ("lm_head.decoder", "", "{1}.logits"),
    ("classifier", "", "{0}.logits"),
    ("qa_outputs", "", "{0}.logits"),
)


class TransformersCandidate(ModuleCandidate):
    """A model of transformers, or what `torch.compile` has made of one.

    Attributes:
        module: what is called.
        model: the model itself; it is the module where nothing is compiled.
        head: the name of its head here.
    """

    kind = "transformers"
    libraries = ("transformers", "torch")

    def __init__(self, module: Any) -> None:
        self.module = module
        self.model = wrapped(module)
        self.head = head_of(self.model)
        self.name = f"transformers {type(self.model).__name__}"
        config, is_whole = self.model.config, module is self.model
        self.capabilities = Capabilities(
            accepted(self.head, config),
            longest=_longest(config),
            has_taps=is_whole,
            takes_weights=is_whole and not self.is_quantised,
        )

    def __call__(self, **inputs: Any) -> Mapping[str, Any]:
        """One pass; a cache goes in and comes out as tuples of arrays."""
        given = {name: self.tensors(value) for name, value in inputs.items()}
        if given.get("past_key_values") is not None:
            given["past_key_values"] = _as_cache(given["past_key_values"])
        with self.evaluating(), self._as_configured():
            output = self.module(**given, return_dict=True)
        return {name: _as_tuples(value) for name, value in output.items()}

    @contextmanager
    def _as_configured(self) -> Generator[None]:
        """A call with labels writes into the configuration what kind of problem it saw, for all calls after it."""
        kind = self.model.config.problem_type
        try:
            yield
        finally:
            self.model.config.problem_type = kind

    def taps(self, inputs: Mapping[str, Any]) -> Mapping[str, Array]:
        """What goes through its modules in one pass, by the spec's names.

        `output_attentions=True` asks for the path that computes probabilities. What lies inside a module stays unseen:
        the scores, the means and variances of layer norms, the erf of a GELU.
        """
        if self.module is not self.model:
            return super().taps(inputs)
        recorded: dict[str, list[Array]] = {}
        hooks = [
            module.register_forward_hook(_recording(recorded, path)) for path, module in self.model.named_modules()
        ]
        try:
            self(**inputs)
        finally:
            for hook in hooks:
                hook.remove()
        if inputs.get("head_mask") is not None:  # which its probabilities contain, and the spec's do not yet
            recorded = {name: parts for name, parts in recorded.items() if not name.endswith(".probs")}
        return {name: self._as_spec(name, parts) for name, parts in recorded.items()}

    def _as_spec(self, name: str, parts: list[Array]) -> Array:
        # A feed-forward layer in slices of the tokens passes its modules once for each.
        value = np.concatenate(parts, 1) if len(parts) > 1 else parts[0]
        if name.endswith((".self.query", ".self.key", ".self.value")):
            return split_heads(value, self.model.config.hidden_size // self.model.config.num_attention_heads)
        return value

    def with_weights(self, state: Mapping[str, Array]) -> Candidate:
        """A copy of the model with other weights; the one that was given stays as it is."""
        if not self.capabilities.takes_weights:
            return super().with_weights(state)
        model = copy.deepcopy(self.model)
        own = model.state_dict()
        given = {name: self.tensors(np.asarray(value)) for name, value in state.items()}
        if own.keys() != given.keys():
            odd = ", ".join(sorted(own.keys() ^ given.keys())[:3])
            message = f"{self.name}: state: required the names of its state_dict(), got others: {odd}"
            raise CandidateError(f"{message}; give those of a model of this head and configuration")
        model.load_state_dict(given)
        return TransformersCandidate(model)

    def describe(self) -> dict[str, Any]:
        """Kind, versions, class, precision, device; head, attention, and which known departures it can show."""
        config = self.model.config
        return super().describe() | {
            "head": self.head,
            "attention": config._attn_implementation,
            "known_departures": list(_departures(self.head, config)),
        }


def head_of(model: Any) -> str:
    """The name of a head here, by the end of the class's name: "RobertaForMaskedLM" is "masked_lm".

    Raises:
        TypeError: a class that has no head of these.
    """
    names = [base.__name__ for base in type(model).__mro__]
    for head, ours in CLASS_NAMES.items():
        if any(name.endswith(ours.removeprefix("Roberta")) for name in names if "PreTrained" not in name):
            return head
    message = f"candidate: required one of {', '.join(CLASS_NAMES.values())}, got {names[0]}; give the whole model"
    raise TypeError(message)


def _longest(config: Any) -> int:
    """T, as far as its tables reach: positions are counted from the padding id's next."""
    is_absolute = config.position_embedding_type == "absolute"
    return config.max_position_embeddings - (config.pad_token_id + 1 if is_absolute else 0)


def _recording(recorded: dict[str, list[Array]], path: str) -> Callable[..., None]:
    """The hook of a module: keeps its input and output under the names of the taps that they are."""
    owner = path.rpartition(".")[0]
    places = next((places for end, *places in PLACES if f".{path}".endswith(f".{end}")), ())
    entering, leaving = (place.format(path, owner) for place in places or ("", ""))

    def keep(name: str, value: Any) -> None:
        recorded.setdefault(name, []).append(to_numpy(value).copy())

    def hook(module: Any, args: tuple[Any, ...], output: Any) -> None:
        del module
        values = cast("tuple[Any, ...]", output) if isinstance(output, tuple) else (output, None)
        if entering:
            keep(entering, args[0])
        if leaving:
            keep(leaving, values[0])
        if leaving.endswith(".context") and values[1] is not None:
            keep(f"{path}.probs", values[1])

    return hook


def _as_cache(past: tuple[tuple[Any, ...], ...]) -> Any:
    """The cache object of a tuple of (key, value) or (key, value, cross key, cross value) of each layer."""
    classes: Any = sys.modules["transformers"]
    cls = classes.EncoderDecoderCache if len(past[0]) == 4 else classes.DynamicCache
    return cls.from_legacy_cache(past)


def _as_tuples(value: Any) -> Any:
    """A cache as a tuple of each layer's, without the places of a source where there is none; the rest as it is."""
    if not hasattr(value, "to_legacy_cache"):
        return value
    return tuple(tuple(part for part in layer if part is not None) for layer in value.to_legacy_cache())


def _departures(head: str, config: Any) -> Iterator[str]:
    is_cached = config.is_decoder and "past_key_values" in SIGNATURES[head]
    if is_cached and config.position_embedding_type != "absolute":
        yield "relative positions with a cache: every query is taken for the last token"
    if is_cached:
        yield "a cache with rows padded on the left, or with embeddings: positions start anew"
    if head == "multiple_choice":
        yield "a mask for each token is flattened to the wrong rank"


def adapt(thing: Any, reference: Any = None) -> TransformersCandidate:
    """A model of transformers as a candidate."""
    del reference
    return TransformersCandidate(thing)
