"""JSON files that hold one object: read, or refused with the file's name and what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read_object(path: Path) -> Any:
    """What a JSON file holds. Names are there once: of two, readers differ in which they take.

    Raises:
        ValueError: no JSON, a name twice in an object, half a surrogate pair, which can't be written again, or values
            nested deeper than Python's reader goes.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "config.json"
        >>> _ = path.write_text('{"a": 1, "a": 2}')
        >>> read_object(path)
        Traceback (most recent call last):
        ValueError: ...config.json is not valid JSON ('a' is there twice); save or download it again
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors on Windows put a mark before it
        value = json.loads(text, object_pairs_hook=_once)
        if "\\ud" in text.lower():
            _ = json.dumps(value, ensure_ascii=False).encode()
        return value
    except UnicodeEncodeError as error:
        half = ascii(error.object[error.start])
        message = f"{path} is not valid JSON ({half} is half a surrogate pair); save or download it again"
        raise ValueError(message) from error
    except RecursionError as error:
        message = f"{path} is not valid JSON (values are nested too deep); save or download it again"
        raise ValueError(message) from error
    except ValueError as error:
        message = f"{path} is not valid JSON ({error}); save or download it again"
        raise ValueError(message) from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        message = f"{ascii(twice)[:60]} is there twice"
        raise ValueError(message)
    return found
