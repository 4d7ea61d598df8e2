"""What the pages of the API make of our docstrings: an extension of griffe, which reads them."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

EXAMPLE = re.compile(r"^( *)Example:$", re.MULTILINE)
#: A link to a file beside the module's.
FILE_LINK = re.compile(r"\[([^\]\n]+)\]\([^)#:\s]+\.py\)")


class OurSections(Extension):
    """Of "Example" griffe makes a note, of "Examples" code; and a link to a file leads nowhere from another page."""

    def on_object(self, *, obj: Object, **kwargs: Any) -> None:  # noqa: D102  # griffe's
        if obj.docstring:
            text = EXAMPLE.sub(r"\1Examples:", obj.docstring.value)
            obj.docstring.value = FILE_LINK.sub(r"\1", text)
