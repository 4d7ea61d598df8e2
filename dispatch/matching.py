"""The one way into the weights: names, kinds, shapes and sizes of arrays, held against the parameter table.

A constructor's state, `load_state_dict_numpy` and files all pass through `match`, and whatever an engine is handed has
passed `require_representable`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self, cast

import numpy as np

from ..files.formats.table import Source
from ..reference.layers import Array
from ..reference.outputs import to_numpy
from ..reference.parameters import Parameter

#: Names that old files have for what is not a parameter: buffers that count 0, 1, 2, …
BUFFERS = ("embeddings.position_ids", "embeddings.token_type_ids")
#: What wrappers put before a model's names: data parallel, compilation, Lightning and most scripts, PEFT, DeepSpeed.
WRAPPERS = ("module.", "_orig_mod.", "model.", "base_model.model.", "_forward_module.")
#: The same inside a name: compilation, sharding and recomputation of a part.
INSIDE = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")
#: Names of old files -> the part that has replaced them.
OLD = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
DECODERS = {"lm_head.weight": "lm_head.decoder.weight"}
#: Where arrays come from -> what their shapes contradict, and what to do then.
CONTRADICTIONS = {
    "file": (
        "the checkpoint contradicts its config",
        "Correct the config (or the overrides), or pass ignore_mismatched_sizes=True to draw these anew.",
    ),
    "state": (
        "the state contradicts the model's config",
        "Give arrays of these shapes, or make a model of a config with those sizes.",
    ),
}
#: NumPy's letter for a kind of arrays -> how to make floating-point numbers of them.
CONVERSIONS = {"c": "take the real part: array.real", **dict.fromkeys("biuV", 'convert it: array.astype("float32")')}

State = dict[str, Array]


@dataclass(frozen=True)
class LoadReport:
    """What became of each parameter when a model was made or weights were loaded into it.

    Each parameter of the model is in exactly one of `loaded`, `tied`, `missing`, `mismatched` and `kept`.

    Attributes:
        loaded: parameters taken from the file or state.
        tied: parameters that are another one, tied name -> its name.
        converted: names that were spelled otherwise, name in the file or state -> parameter.
        missing: parameters that no file or state has given yet, and that are therefore random (or zero, or one, by the
            table). Of a fresh model, all.
        mismatched: parameters whose shape in the file differs; random too, where that was allowed.
        unexpected: names in the file or state that this head has no use for.
        random_outputs: the outputs that depend on a random parameter.
        kept: parameters that a state lacked, and that kept what an earlier one had given them.
        dtypes: of the file or state -> of the model, where they differ.
        source: which files it was read from, of what format; `source.sha256()` gives their hashes. None of a state.
    """

    loaded: tuple[str, ...] = ()
    tied: Mapping[str, str] | None = None
    converted: Mapping[str, str] | None = None
    missing: tuple[str, ...] = ()
    mismatched: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    random_outputs: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    dtypes: Mapping[str, str] | None = None
    source: Source | None = None

    def __hash__(self) -> int:
        """By the names alone: the mappings have no hash, and compilers want what is static to have one."""
        return hash((self.loaded, self.missing, self.mismatched, self.unexpected, self.kept))

    def __str__(self) -> str:
        origin = f" from {self.source}" if self.source else ""
        lines = [f"loaded {len(self.loaded)} parameters{origin}"]
        lines += [f"dtype: {old} -> {new}" for old, new in (self.dtypes or {}).items()]
        for label, pairs in (("tied", self.tied), ("converted", self.converted)):
            lines += [f"{label}: {name} = {other}" for name, other in (pairs or {}).items()]
        for label in ("missing", "mismatched", "unexpected", "kept"):
            lines += [f"{label}: {name}" for name in getattr(self, label)]
        if self.random_outputs:
            lines.append(f"random, so far: {', '.join(self.random_outputs)}")
        return "\n".join(lines)

    def loading_info(self) -> dict[str, list[str]]:
        """The same under the names that HF's `from_pretrained(output_loading_info=True)` has.

        Example:
            >>> LoadReport(missing=("pooler.dense.bias",)).loading_info()["missing_keys"]
            ['pooler.dense.bias']
        """
        return {
            "missing_keys": [*self.missing],
            "unexpected_keys": [*self.unexpected],
            "mismatched_keys": [*self.mismatched],
            "error_msgs": [],
        }

    def after(self, earlier: LoadReport, head: str) -> Self:
        """The same of a model into which weights had been loaded before: what is lacking now may be there already.

        Args:
            earlier: the model's report until now.
            head: for the names of the outputs.
        """
        lacking = [name for name in self.missing if name in {*earlier.missing, *earlier.mismatched}]
        kept = tuple(name for name in self.missing if name not in lacking)
        return replace(
            self,
            missing=tuple(lacking),
            kept=kept,
            random_outputs=_dependent_outputs([*lacking, *self.mismatched], head),
        )


def admit(
    state: Mapping[str, Any],
    table: Mapping[str, Parameter],
    head: str,
    dtype: str,
    *,
    where: str,
    strict: bool = True,
    lenient: str = "",
) -> tuple[State, LoadReport]:
    """`match`, `require_exact` if `strict`, and `require_representable`: what a state in memory passes.

    Args:
        state: name -> array, of any framework.
        table: the head's parameters.
        head: for the names of the outputs in the report.
        dtype: of the model.
        where: what errors begin with.
        strict: whether it must have each parameter and nothing else.
        lenient: what to type where a part, or more, is meant.

    Returns:
        As `match`.

    Raises:
        TypeError: as `match`.
        ValueError: as all three.
    """
    found, report = match(state, table, head, where=where)
    if strict:
        require_exact(report, table, where, lenient)
    require_representable(found, dtype)
    return found, report


def match(
    tensors: Mapping[str, Any],
    table: Mapping[str, Parameter],
    head: str,
    *,
    where: str,
    origin: Literal["file", "state"] = "state",
    ignore_mismatched_sizes: bool = False,
) -> tuple[State, LoadReport]:
    """Bring tensors under the names of a head.

    A bare model's tensors fit a head and the other way round; old names of layer norms are read; where both ends of a
    tie are given, the word table wins over `lm_head.decoder.weight`, and `lm_head.decoder.bias` over `lm_head.bias`.

    Args:
        tensors: name -> array, of any framework.
        table: the head's parameters.
        head: for the names of the outputs in the report.
        where: what errors begin with.
        origin: whether it is a file's or a state.
        ignore_mismatched_sizes: leave out tensors of another shape, which are random then.

    Returns:
        What was found, name -> NumPy array, without tied names; and the report. `require_exact` judges it.

    Raises:
        TypeError: no mapping of names to arrays of floating-point numbers.
        ValueError: a tensor of another shape than the config says, or two for one parameter.

    Example:
        >>> from roberta.reference.parameters import Parameter
        >>> table = {"pooler.dense.bias": Parameter("pooler.dense.bias", (2,), "zeros")}
        >>> found, report = match({"roberta.pooler.dense.bias": np.ones(2)}, table, "model", where="a state")
        >>> found, report.converted
        ({'pooler.dense.bias': array([1., 1.])}, {'roberta.pooler.dense.bias': 'pooler.dense.bias'})
    """
    spelled = spellings(tensors, table, where)
    found = {own: _floating(f"{where}: {name}", tensors[name]) for name, own in spelled.items() if own in table}
    ties = {name: parameter.tied_to for name, parameter in table.items() if parameter.tied_to}
    misfits = [name for name in table if name in found and found[name].shape != table[name].shape]
    if misfits and not ignore_mismatched_sizes:
        raise ValueError(_mismatch_message(where, origin, misfits, found, table))
    joined = _joined({name: array for name, array in found.items() if name not in misfits}, ties)
    state = {name: joined[name] for name in table if name in joined}
    lacking = [name for name in table if name not in state and name not in ties]
    mismatched = {ties.get(name, name) for name in misfits}
    return state, LoadReport(
        loaded=tuple(state),
        tied=ties,
        converted={name: own for name, own in spelled.items() if name != own and own in table},
        missing=tuple(name for name in lacking if name not in mismatched),
        mismatched=tuple(name for name in lacking if name in mismatched),
        unexpected=tuple(name for name, own in spelled.items() if own not in table),
        random_outputs=_dependent_outputs(lacking, head),
    )


def changed_dtypes(state: Mapping[str, Array], dtype: str) -> dict[str, str]:
    """The dtypes of a state that are not the model's -> the model's.

    Example:
        >>> changed_dtypes({"a": np.ones(2, np.float16), "b": np.ones(2, np.float32)}, "float32")
        {'float16': 'float32'}
    """
    return {name: dtype for name in sorted({array.dtype.name for array in state.values()}) if name != dtype}


def require_exact(report: LoadReport, table: Mapping[str, Parameter], where: str, lenient: str = "") -> None:
    """Every parameter must have been given, and nothing else.

    Args:
        report: of `match`.
        table: the parameters.
        where: what the error begins with.
        lenient: what to type where a part, or more, is meant.

    Raises:
        ValueError: names that are lacking or of no use; says which prefix to take off, if that is all.
    """
    if not report.missing and not report.unexpected:
        return
    found = [
        f"{verb} {len(names)} ({shortened(names)})"
        for verb, names in (("lacks", report.missing), ("has no use for", report.unexpected))
        if names
    ]
    remedy = respelling(report.unexpected, table) or lenient
    message = f"{where}: required the names of its parameters, got a state that {' and '.join(found)}"
    raise ValueError(f"{message}. {remedy}" if remedy else message)


def respelling(unexpected: Sequence[str], table: Mapping[str, Parameter]) -> str:
    """What to type where unexpected names would be a table's without their prefix; else nothing."""
    parts = unexpected[0].split(".") if unexpected else []
    for count in range(1, len(parts)):
        prefix = ".".join(parts[:count]) + "."
        if _spelling(unexpected[0].removeprefix(prefix), table) in table:
            renamed = f'{{name.removeprefix("{prefix}"): array for name, array in state.items()}}'
            return f"Take the prefix off: {renamed}"
    return ""


def shortened(names: Sequence[str], most: int = 4) -> str:
    """The first names of many."""
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")


def require_representable(state: Mapping[str, Array], dtype: str) -> None:
    """No finite number may become infinite in the dtype of the model; NaN and infinity stay what they are.

    Args:
        state: parameter -> array.
        dtype: of the model.

    Raises:
        ValueError: a number that does; names the parameter, the place, and the dtype that holds it.

    Numerics: looks at the numbers only where the dtype has a smaller range than the array's.
    """
    limit = _largest(dtype)
    for name, array in state.items():
        if _largest(array.dtype) > limit and not _is_within(array, limit):
            _require_finite(name, array, dtype, limit)


# -- pieces ----------------------------------------------------------------------------------------------------------


def spellings(tensors: Mapping[str, Any], table: Mapping[str, Parameter], where: str) -> dict[str, str]:
    """Each name as the table has it; buffers are passed over."""
    if not isinstance(tensors, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  # whatever a caller gives
        required = "a mapping of HF's names to arrays"
        message = f"{where}: required {required}, got {type(tensors).__name__}; such as model.state_dict_numpy()"
        raise TypeError(message)
    for name, value in tensors.items():
        kind = type(value).__name__
        if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            message = f"{where}: required names, got the {type(name).__name__} {name!r}; such as 'pooler.dense.bias'"
            raise TypeError(message)
        if isinstance(value, Mapping):
            remedy = "flatten it: roberta.reference.weights.flatten(state)"
            message = f"{where}: required an array under each name, got a {kind} at {name!r}; {remedy}"
            raise TypeError(message)
    spelled = {name: _spelling(name, table) for name in tensors if not name.endswith(BUFFERS)}
    first: dict[str, str] = {}
    for name, own in spelled.items():
        if first.setdefault(own, name) != name:
            message = f"{where}: required one array for {own}, got {first[own]} and {name}; leave one out"
            raise ValueError(message)
    return spelled


def _spelling(name: str, table: Mapping[str, Parameter]) -> str:
    """The table's spelling of a name; the name, if it has none."""
    rest = name
    for inside in INSIDE:
        rest = rest.replace(inside, "")
    for old, new in OLD.items():
        rest = rest.replace(old, new)
    for _ in range(len(WRAPPERS)):
        for spelling in (rest, f"roberta.{rest}", rest.removeprefix("roberta."), DECODERS.get(rest, rest)):
            if spelling in table:
                return spelling
        wrapper = next((wrapper for wrapper in WRAPPERS if rest.startswith(wrapper)), "")
        rest = rest.removeprefix(wrapper)
    return name


def _floating(where: str, value: Any) -> Array:
    """An array of any framework, or a list, as NumPy's."""
    required = f"{where}: required floating-point numbers"
    try:
        array: Array = value if issubclass(type(value), np.ndarray) else to_numpy(value)
    except ValueError as error:  # nested lists, which NumPy calls inhomogeneous
        message = f"{required}, got a {type(value).__name__} ({error}); give rows of one length"
        raise TypeError(message) from error
    if not (np.issubdtype(array.dtype, np.floating) or array.dtype.name == "bfloat16"):
        remedy = CONVERSIONS.get(array.dtype.kind, "give an array of numbers")
        message = f"{required}, got shape {array.shape} of {array.dtype}; {remedy}"
        raise TypeError(message)
    return array


def _joined(found: State, ties: Mapping[str, str]) -> State:
    """One array of each tie, under the name of its source."""
    joined = {name: array for name, array in found.items() if name not in ties}
    for name, source in ties.items():
        # in HF, of two biases the decoder's own is the one that computes; of two tables, the one of the words
        if name in found and (source not in joined or source == "lm_head.bias"):
            joined[source] = found[name]
    return joined


def _mismatch_message(
    where: str, origin: str, names: Iterable[str], found: Mapping[str, Array], table: Mapping[str, Parameter]
) -> str:
    what, remedy = CONTRADICTIONS[origin]
    lines = [f"{n}: the config says {table[n].shape}, the {origin} has {found[n].shape}" for n in names]
    return "\n".join([f"{where}: {what}:", *lines, remedy])


def _dependent_outputs(names: Sequence[str], head: str) -> tuple[str, ...]:
    """The outputs of a head that depend on these parameters."""
    logits = {"model": (), "question_answering": ("start_logits", "end_logits")}.get(head, ("logits",))
    if not names:
        return ()
    is_pooler = [name.removeprefix("roberta.").startswith("pooler.") for name in names]
    if head == "model":
        return ("pooler_output",) if all(is_pooler) else ("last_hidden_state", "pooler_output")
    is_body = [name.startswith("roberta.") and not pooled for name, pooled in zip(names, is_pooler, strict=True)]
    return (*logits, "hidden_states") if any(is_body) else logits


def _largest(dtype: Any) -> float:
    """The largest finite number of a dtype."""
    if str(dtype) != "bfloat16":
        return float(np.finfo(dtype).max)
    import ml_dtypes  # makes bfloat16 known to NumPy; nothing else needs it, and a browser may lack it

    finfo = cast("Any", ml_dtypes.finfo)  # whose stubs leave the type of its numbers open
    return float(finfo(np.dtype(dtype)).max)


def _is_within(array: Array, limit: float) -> bool:
    """Whether every number lies in [-limit, limit]; false as well where one is NaN."""
    # in blocks that stay in the cache, so that memory is read once
    blocks = np.array_split(array.reshape(-1), array.size // 65_536 + 1) if array.size else []
    return all(-limit <= float(block.min()) and float(block.max()) <= limit for block in blocks)


def _require_finite(name: str, array: Array, dtype: str, limit: float) -> None:
    with np.errstate(all="ignore"):
        is_lost = np.isfinite(array) & ~np.isfinite(array.astype(dtype))
    if is_lost.any():
        index = tuple(np.argwhere(is_lost)[0].tolist())
        required = f"numbers that are finite in {dtype} (at most {limit:.4g})"
        remedy = f'Correct it, or make the model with dtype="{array.dtype.name}"'
        message = f"{name}: required {required}, got {array[index]:.4g} at {list(index)}. {remedy}"
        raise ValueError(message)
