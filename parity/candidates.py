"""What can be judged: a candidate is anything that answers HF's arguments with named arrays, and says what it can do.

    as_candidate(thing)            a model, a session, a file, a command, an address, a function -> `Candidate`
    answered(candidate, inputs)    one answer, checked: flat names -> arrays of numbers of one's own

How each kind of thing is asked is in `adapters`.
"""

from __future__ import annotations

import contextvars
import copy
import queue
import threading
import traceback
import weakref
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np

from ..reference.layers import Array
from ..reference.outputs import Output, to_numpy
from .tolerances import flat_outputs

#: The attention masks that are told apart, by where they hide tokens.
PADDINGS = ("none", "right", "left", "inner", "whole row", "by token")


class CandidateError(RuntimeError):
    """A candidate gave no answer that can be judged: it raised, hung, died, or returned what are no named arrays."""


@dataclass(frozen=True)
class Capabilities:
    """What a candidate can be asked. What it cannot is counted as not covered, never as passed.

    Attributes:
        inputs: the names of the arguments that it takes, of HF's; "past_key_values" if it goes on from a cache.
        outputs: the names of the outputs that it can give ("logits", "hidden_states", "attentions", …); None: nobody
            knows before it is asked.
        longest: the largest number of tokens; None: what the configuration permits.
        batches: the sizes of batch that it takes; None: any.
        has_taps: whether `taps` gives intermediate values.
        takes_weights: whether `with_weights` gives the same engine with other weights.
        is_called_again: whether it may be called more than once.
        paddings: where its masks may hide tokens, of `PADDINGS`; None: anywhere.
        needs: the names of the arguments that it cannot do without.
        is_own: whether it is a model of this library, also compiled: such a one has arguments of its own, and where its
            answer is read from a token that is hidden (a first one, a row of nobody's, one that was asked for), that
            too is the spec's.
    """

    inputs: frozenset[str]
    outputs: frozenset[str] | None = None
    longest: int | None = None
    batches: frozenset[int] | None = None
    has_taps: bool = False
    takes_weights: bool = False
    is_called_again: bool = True
    paddings: frozenset[str] | None = None
    needs: frozenset[str] = frozenset()
    is_own: bool = False

    def filled(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """A call with what it needs and was not given, as far as that changes nothing: a mask of 1, types of 0."""
        neutral = {"attention_mask": np.ones_like, "token_type_ids": np.zeros_like}
        ids = inputs.get("input_ids")
        lacking = [name for name in neutral if name in self.needs and inputs.get(name) is None and ids is not None]
        return {**inputs, **{name: neutral[name](ids) for name in lacking}}

    def refusal(self, inputs: Mapping[str, Any]) -> str:
        """Why a call is not covered, as one sentence; "" where it is.

        Args:
            inputs: HF's argument names -> arrays. What is None is not given.

        Example:
            >>> short = Capabilities(frozenset({"input_ids"}), longest=5)
            >>> short.refusal({"input_ids": np.ones((1, 7), int)})
            'it takes at most 5 tokens, not 7'
            >>> short.refusal({"input_ids": np.ones((1, 5), int)})
            ''
        """
        given = {name: value for name, value in inputs.items() if value is not None}
        unknown = sorted(given.keys() - self.inputs)
        if unknown:
            return f"it takes no {', '.join(unknown)}"
        lacking = sorted(self.needs - given.keys())
        if lacking:
            return f"it needs {', '.join(lacking)}"
        tokens = given.get("input_ids", given.get("inputs_embeds"))
        shape: tuple[int, ...] = () if tokens is None else np.shape(tokens)[: None if "input_ids" in given else -1]
        if shape and self.longest is not None and shape[-1] > self.longest:
            return f"it takes at most {self.longest} tokens, not {shape[-1]}"
        if shape and self.batches is not None and shape[0] not in self.batches:
            return f"it takes batches of {', '.join(map(str, sorted(self.batches)))}, not of {shape[0]}"
        padding = padding_of(given.get("attention_mask"), len(shape) or 2)
        if self.paddings is not None and padding not in self.paddings:
            return f"its masks hide tokens at {', '.join(sorted(self.paddings))} only, not at {padding}"
        return ""


@runtime_checkable
class Candidate(Protocol):
    """An implementation under audit."""

    name: str
    capabilities: Capabilities

    def __call__(self, **inputs: Any) -> Mapping[str, Any]:
        """One pass: NumPy arrays in, names of outputs -> arrays (or tuples of arrays) out."""
        ...

    def taps(self, inputs: Mapping[str, Any]) -> Mapping[str, Array]:
        """Intermediate values of one pass by the spec's names (`reference.taps.symbols`), as far as it has them.

        A graph whose values have names of its own gives them under those; `where` matches them by value.
        """
        ...

    def with_weights(self, state: Mapping[str, Array]) -> Candidate:
        """The same engine with other weights: HF's names -> arrays."""
        ...

    def describe(self) -> dict[str, Any]:
        """What a report says of it: kind, versions, hash of its file, anything that explains a result."""
        ...


def as_candidate(
    thing: Any, *, name: str | None = None, reference: Any = None, capabilities: Capabilities | None = None
) -> Candidate:
    """Make a candidate of whatever can be asked. No framework is imported to look at it.

    Args:
        thing: a `Candidate`; a model of ours, also compiled, traced or quantised; a model of transformers, or any
            PyTorch module with HF's argument names; an ONNX Runtime session, or the path of a .onnx file; a CTranslate2
            encoder, or its folder; "module:attribute", something to import; "http://…"; a command, as a list or as
            "cmd: ./server --flag"; or a function that takes NumPy arrays by HF's argument names. See
            docs/candidates.md.
        name: for the report; None for one made of the thing.
        reference: the model of ours that it is to be judged by, whose head and padding id tell some things how to be
            asked; None if there is none.
        capabilities: what it can be asked, in place of what its kind and signature say.

    Returns:
        The thing itself, if it is a `Candidate` (a copy, where it gets another name), else an adapter.

    Raises:
        TypeError: something else; lists what is accepted.
        FileNotFoundError: a path of nothing.
        ImportError: the library that runs such a file is missing; names the line that installs it.

    Example:
        >>> def port(input_ids, attention_mask=None):
        ...     return {"logits": np.zeros((*input_ids.shape, 11))}
        >>> candidate = as_candidate(port)
        >>> candidate.name, sorted(candidate.capabilities.inputs)
        ('port', ['attention_mask', 'input_ids'])
    """
    from .adapters import adapt

    is_one = isinstance(thing, Candidate) and not isinstance(thing, type)
    if is_one and name is None and capabilities is None:
        return thing
    candidate: Candidate = copy.copy(thing) if is_one else adapt(thing, reference)  # a name given here is for here
    if name is not None:
        candidate.name = name
    if capabilities is not None:
        candidate.capabilities = capabilities
    return candidate


def padding_of(attention_mask: Any, rank: int = 2) -> str:
    """Where a mask hides tokens: one of `PADDINGS`; of rows that differ, the one that is hardest to answer.

    Args:
        attention_mask: the mask; None hides nothing.
        rank: that of the tokens: a mask with another axis says for each token at which it may look.

    Example:
        >>> padding_of([[1, 1, 1], [1, 0, 0]]), padding_of([[1, 0, 1], [0, 1, 1]]), padding_of(None)
        ('right', 'inner', 'none')
    """
    if attention_mask is None:
        return "none"
    mask = to_numpy(attention_mask) >= 1
    if mask.ndim > rank:
        return "by token"
    kinds = {_padding_of_row(row) for row in mask.reshape(-1, mask.shape[-1])}
    return max(kinds, key=PADDINGS.index, default="none")


def _padding_of_row(row: Array) -> str:
    places = np.flatnonzero(row)
    if len(places) == len(row):
        return "none"
    if not len(places):
        return "whole row"
    if len(places) <= places[-1] - places[0]:
        return "inner"
    return "right" if places[0] == 0 else "left"


# -- one answer --------------------------------------------------------------------------------------------------------

#: Candidate -> what it returned last, beside a copy of it: a buffer that it uses again shows in the difference.
_returned: weakref.WeakKeyDictionary[Any, list[tuple[str, Array, Array]]] = weakref.WeakKeyDictionary()


def answered(candidate: Candidate, inputs: Mapping[str, Any], timeout: float | None = None) -> dict[str, Array]:
    """Ask once, and check what comes back.

    The candidate gets copies of the arrays, and what it returns is copied, so that nothing which it does later changes
    what is judged. With a timeout it runs in a thread of its own. A thread cannot be ended from outside: that of a
    function which hangs is left behind; a process or a connection is closed.

    Args:
        candidate: what is asked.
        inputs: HF's argument names -> arrays; flags as they are; a cache as tuples of arrays.
        timeout: how many seconds it may take; None: for ever.

    Returns:
        Flat names, as of `tolerances.flat_outputs` -> arrays of numbers.

    Raises:
        CandidateError: it raised; took too long; returned no mapping of names to arrays of numbers; changed its
            inputs; or changed, in this call, what it had returned in the one before.

    Example:
        >>> port = as_candidate(lambda input_ids: {"hidden_states": (input_ids / 2, input_ids / 4)})
        >>> list(answered(port, {"input_ids": np.ones((1, 3))}))
        ['hidden_states.0', 'hidden_states.1']
    """
    kept, given = ({name: _copied(value) for name, value in inputs.items()} for _ in range(2))
    output = _called(candidate, given, timeout)
    _require_unchanged(candidate.name, kept, given)
    seen = _checked(candidate.name, output)
    _require_buffers_of_its_own(candidate)
    found = {name: np.array(value) for name, value in seen.items()}
    with suppress(TypeError):  # of which no weak reference can be made: it goes unwatched
        _returned[candidate] = [(name, seen[name], found[name]) for name in found]
    return {name: value.copy() for name, value in found.items()}


def _copied(value: Any) -> Any:
    value = getattr(value, "layers", value)  # of a cache
    if isinstance(value, tuple):
        return tuple(_copied(part) for part in cast("tuple[Any, ...]", value))
    return value if value is None or isinstance(value, bool) else np.array(to_numpy(value))


def _called(candidate: Candidate, given: Mapping[str, Any], timeout: float | None) -> Any:
    """What the candidate returns, in this thread, or, where it may take so long only, in another."""
    if timeout is None:
        return _attempt(candidate, given)
    answer: queue.SimpleQueue[tuple[Any, CandidateError | None]] = queue.SimpleQueue()

    def work() -> None:
        try:
            answer.put((_attempt(candidate, given), None))
        except CandidateError as error:
            answer.put((None, error))

    threading.Thread(target=contextvars.copy_context().run, args=(work,), daemon=True).start()
    try:
        output, error = answer.get(timeout=timeout)
    except queue.Empty:
        last_words = getattr(candidate, "abandon", str)()
        message = f"{candidate.name}: required an answer within {timeout:g} s, got none; give it more time (timeout=), "
        raise CandidateError(f"{message}or smaller inputs{last_words}") from None
    if error is not None:
        raise error
    return output


def _attempt(candidate: Candidate, given: Mapping[str, Any]) -> Any:
    try:
        return candidate(**given)
    except CandidateError:
        raise
    except (Exception, SystemExit) as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{frame.filename}, line {frame.lineno}, in {frame.name}"
        shapes = ", ".join(f"{name}: {_outline(value)}" for name, value in given.items())
        message = f"{candidate.name}: required an answer, got {type(error).__name__}: {error} ({where}); "
        raise CandidateError(f"{message}call it yourself with {shapes}") from error


def _outline(value: Any) -> str:
    return f"{value.dtype}{list(value.shape)}" if hasattr(value, "dtype") else repr(value)[:20]


def _require_unchanged(name: str, kept: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    after = flat_outputs(given)
    for part, value in flat_outputs(kept).items():
        if not _is_same(value, after[part]):
            message = f"{name}: required to leave its inputs as they are, but it changed {part}"
            raise CandidateError(f"{message}; let it work on a copy")


def _require_buffers_of_its_own(candidate: Candidate) -> None:
    with suppress(TypeError):
        for output, seen, kept in _returned.get(candidate, []):
            if not _is_same(seen, kept):
                message = f"{candidate.name}: this call changed the {output} that the call before had returned"
                raise CandidateError(f"{message}: it uses one buffer for both; return a copy")


def _is_same(one: Array, other: Array) -> bool:
    return np.array_equal(one, other, equal_nan=one.dtype.kind == "f")


def _checked(name: str, output: Any) -> dict[str, Array]:
    """The outputs by flat names, each an array of numbers."""
    named = _named(output)
    if named is None or not all(isinstance(key, str) for key in named):
        keys = "" if named is None else f" with the keys {list(named)[:3]}"
        message = f"{name}: required a mapping of output names to arrays, got {type(output).__name__}{keys}"
        raise CandidateError(f'{message}; return {{"logits": array}}, or whatever HF calls it')
    for key, value in named.items():
        _require_arrays(name, key, value)
    try:
        flat = flat_outputs(named)
    except Exception as error:  # each framework's own
        message = f"{name}: required arrays of numbers, got what cannot be read as such ({error})"
        raise CandidateError(f"{message}; look at {', '.join(named)}") from error
    for key, value in flat.items():
        if value.dtype.kind not in "fiub":
            message = f"{name}: {key}: required an array of numbers, got {value.dtype} {value!r:.60}"
            raise CandidateError(f"{message}; leave out what the candidate does not have")
    return flat


def _named(output: Any) -> Mapping[Any, Any] | None:
    """A mapping, or a record as one; None for what has no names."""
    if isinstance(output, Output):
        return output.numpy()
    if hasattr(output, "_asdict"):
        return output._asdict()
    if is_dataclass(output) and not isinstance(output, type | Mapping):
        return {field.name: getattr(output, field.name) for field in fields(output)}
    return cast("Mapping[Any, Any]", output) if isinstance(output, Mapping) else None


def _require_arrays(name: str, key: str, value: Any) -> None:
    """No texts, no None, no Python numbers in lists, which would read as many outputs."""
    if isinstance(value, tuple | list) and cast("list[Any]", value):
        for index, part in enumerate(cast("list[Any]", value)):
            if isinstance(part, int | float):
                message = f"{name}: {key}: required an array, got a list of {type(part).__name__}"
                raise CandidateError(f"{message}; return np.asarray of it")
            _require_arrays(name, f"{key}.{index}", part)
    elif value is None or isinstance(value, str | bytes | Mapping):
        shown = cast("Any", value)
        message = f"{name}: {key}: required an array of numbers, got {type(shown).__name__}: {shown!s:.60}"
        raise CandidateError(f"{message}; leave out what the candidate does not have")
