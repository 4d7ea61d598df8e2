"""What an array is like, and how far two passes are apart, tap by tap: the records that a tape makes for readers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ..files.tables import Table
from .arrays import to_numpy


@dataclass(frozen=True)
class Summary:
    """An array in brief.

    Attributes:
        shape: its sizes.
        dtype: as its own library calls it.
        low: the smallest element; NaN where one is NaN, as all three, and where there is none.
        high: the largest.
        rms: the root of the mean square.
    """

    shape: tuple[int | None, ...]
    dtype: str
    low: float
    high: float
    rms: float

    @classmethod
    def of(cls, value: Any) -> Summary:
        """Of an array of any engine; while a compiler looks at it, without numbers.

        Example:
            >>> Summary.of(np.array([3.0, -4.0])).cells
            ('(2,)', 'float64', '-4', '3', '3.54')
        """
        shape = tuple(getattr(value, "shape", ()))
        dtype = str(getattr(getattr(value, "dtype", None), "name", getattr(value, "dtype", type(value).__name__)))
        try:
            numbers = np.asarray(to_numpy(value), np.float64)
        except (TypeError, ValueError, RuntimeError, NotImplementedError):  # a tracer has no values yet
            return cls(shape, dtype.removeprefix("torch."), np.nan, np.nan, np.nan)
        if not numbers.size:
            return cls(shape, dtype.removeprefix("torch."), np.nan, np.nan, np.nan)
        with np.errstate(over="ignore"):
            rms = float(np.sqrt(np.mean(np.square(numbers))))
        return cls(shape, dtype.removeprefix("torch."), float(numbers.min()), float(numbers.max()), rms)

    @property
    def cells(self) -> tuple[str, str, str, str, str]:
        """Shape, dtype, smallest, largest and rms for a table."""
        numbers = (f"{number:.3g}" for number in (self.low, self.high, self.rms))
        low, high, rms = ("" if number == "nan" and not self.has_nan else number for number in numbers)
        return (str(self.shape), self.dtype, low, high, rms)

    @property
    def has_nan(self) -> bool:
        """Whether it is NaN because an element is."""
        return bool(np.isnan(self.low)) and all(self.shape)


@dataclass(frozen=True)
class Difference:
    """How far two arrays are apart.

    Attributes:
        name: of the tap.
        error: the largest absolute error; infinite where one is no finite number and the other differs, or where the
            shapes do.
        index: where it is largest; of the ratio, where there is a limit.
        relative: the largest error over the largest magnitude of the other array.
        ratio: the largest error / permitted error; None where no limit was given.
        problem: why they cannot be compared, or "".
    """

    name: str
    error: float
    index: tuple[int, ...] = ()
    relative: float = 0.0
    ratio: float | None = None
    problem: str = ""


@dataclass(frozen=True)
class Differences(Mapping[str, Difference]):
    """How far two passes are apart: name of a tap -> `Difference`, in the order of computation.

    Attributes:
        found: the differences, of taps that both have.
        missing: names that only one of the two has.
    """

    found: Mapping[str, Difference]
    missing: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Difference:
        return self.found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.found)

    def __len__(self) -> int:
        return len(self.found)

    @property
    def largest(self) -> Difference | None:
        """The largest by error / limit, where there are limits, else by absolute error."""
        return max(self.found.values(), key=lambda one: (one.ratio or 0.0, one.error), default=None)

    @property
    def first(self) -> Difference | None:
        """The first tap beyond its limit; None where none is, or no limits were given."""
        return next((one for one in self.found.values() if one.ratio is not None and not one.ratio <= 1.0), None)

    @property
    def ratios(self) -> dict[str, float]:
        """Name -> error / limit, of those that have a limit."""
        return {name: one.ratio for name, one in self.found.items() if one.ratio is not None}

    def __str__(self) -> str:
        return self._table().text()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self._table().html()

    def _table(self) -> Table:
        first = self.first
        rows = [_cells(one, one is first) for one in self.found.values()]
        remarks = [f"only one of the two has {name}" for name in self.missing[:3]]
        if len(self.missing) > 3:
            remarks.append(f"and {len(self.missing) - 3} more")
        return Table(("tap", "largest error", "at", "relative", "error / limit"), rows, self._title(first), remarks)

    def _title(self, first: Difference | None) -> str:
        title = f"{len(self)} taps compared"
        if first is not None:
            return f"{title}; the first beyond its limit is {first.name}"
        if self.ratios:
            return f"{title}; {len(self.ratios)} have a limit, and keep within it"
        return title if self.largest is None else f"{title}; the largest error is {self.largest.error:.3g}"


def differences(
    ours: Mapping[str, Any], theirs: Mapping[str, Any], limits: Mapping[str, Any] | None = None
) -> Differences:
    """Compare what two passes have under the same names.

    Args:
        ours: name -> array of any engine; its order is kept.
        theirs: the same, of another pass.
        limits: name -> the largest permitted distance, an array that broadcasts, infinite where nothing is judged.

    Raises:
        TypeError: something that is no mapping of names to arrays.

    Example:
        >>> found = differences({"a": np.ones(2)}, {"a": np.array([1.0, 1.5])}, {"a": 0.25})
        >>> found["a"].error, found["a"].index, found["a"].ratio, found.first is found["a"]
        (0.5, (1,), 2.0, True)
    """
    limits = {} if limits is None else limits
    for name, given in (("tape", ours), ("other", theirs), ("limits", limits)):
        if not isinstance(given, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  # the caller's mistake
            message = f"{name}: required a mapping of taps to arrays, such as a tape, got {type(given).__name__}"
            raise TypeError(f"{message}; write tape.compare(other.tape(**inputs))")
    found = {
        name: _difference(name, to_numpy(value), to_numpy(theirs[name]), limits.get(name))
        for name, value in ours.items()
        if name in theirs
    }
    lonely = [*(name for name in ours if name not in theirs), *(name for name in theirs if name not in ours)]
    return Differences(found, tuple(lonely))


def _difference(name: str, ours: Any, theirs: Any, limit: Any) -> Difference:
    if ours.shape != theirs.shape:
        ratio = None if limit is None else np.inf
        return Difference(name, np.inf, (), np.inf, ratio, f"shapes {ours.shape} and {theirs.shape}")
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    if not ours.size:
        return Difference(name, 0.0, ratio=None if limit is None else 0.0)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        error = np.abs(ours - theirs)
        same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
        error = np.where(same, 0.0, np.where(np.isnan(error), np.inf, error))
        size = np.abs(theirs[np.isfinite(theirs)]).max(initial=0.0)
        ratios = None if limit is None else _ratios(error, to_numpy(limit))
    at = _where_largest(error if ratios is None else ratios)
    largest = float(error.max())
    relative = largest / float(size) if size else (np.inf if largest else 0.0)
    ratio = None if ratios is None else float(ratios[at])
    return Difference(name, largest, at, relative, ratio)


def _ratios(error: Any, limit: Any) -> Any:
    """Error / limit: 0 where nothing is judged, as the limit is infinite, and where there is no error."""
    counts = (error > 0.0) & np.isfinite(limit)
    return np.where(counts, error / np.where(counts, limit, 1.0), 0.0)


def _where_largest(values: NDArray[Any]) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(values.argmax(), values.shape))


def _cells(one: Difference, is_first: bool) -> tuple[str, ...]:
    if one.problem:
        return (one.name, one.problem, "", "", "" if one.ratio is None else "inf")
    ratio = "" if one.ratio is None else f"{one.ratio:.3g}"
    mark = " ← first beyond 1" if is_first else ""
    return (one.name, f"{one.error:.3g}", str(list(one.index)), f"{one.relative:.2g}", ratio + mark)


def record_table(title: str, items: Mapping[str, Any]) -> Table:
    """A record of arrays as a table; the arrays of a tuple come under their numbers.

    Args:
        title: of the table.
        items: name -> array, tuple of arrays, or anything that `map` takes apart.
    """
    rows = [(name, *Summary.of(value).cells) for name, value in _flat(items)]
    return Table(("name", "shape", "dtype", "min", "max", "rms"), rows, title)


def _flat(items: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in items.items():
        if isinstance(value, tuple):
            parts = cast("tuple[Any, ...]", value)
            yield from _flat({f"{name}.{i}": part for i, part in enumerate(parts)})
        elif hasattr(value, "token_count"):  # a cache
            yield from _flat({f"{name}.layers": value.layers, f"{name}.token_count": value.token_count})
        else:
            yield name, value
