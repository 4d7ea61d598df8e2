"""CTranslate2: the encoder of a converted RoBERTa. It knows lengths in place of masks, so it pads on the right only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..candidates import Capabilities
from .adapter import Adapter


class CTranslate2Candidate(Adapter):
    """An encoder: the bare model, of token ids, lengths and token types.

    Attributes:
        encoder: it.
        folder: its files; None where an encoder was given, which does not say where they are.
    """

    kind = "CTranslate2"
    libraries = ("ctranslate2",)

    def __init__(self, encoder: Any, folder: Path | None = None) -> None:
        inputs = frozenset({"input_ids", "attention_mask", "token_type_ids"})
        outputs = frozenset({"last_hidden_state", "pooler_output"})
        paddings = frozenset({"none", "right"})
        name = f"CTranslate2: {folder.name if folder else 'encoder'}"
        super().__init__(name, Capabilities(inputs, outputs, paddings=paddings))
        self.encoder = encoder
        self.folder = folder

    def __call__(self, **inputs: Any) -> Mapping[str, Any]:
        """One pass; what it gives for padding means nothing."""
        self.require_covered(inputs)
        ids = np.ascontiguousarray(inputs["input_ids"], np.int32)
        mask, types = inputs.get("attention_mask"), inputs.get("token_type_ids")
        lengths = np.full(len(ids), ids.shape[1]) if mask is None else (np.asarray(mask) >= 1).sum(-1)
        view: Any = _library().StorageView
        output = self.encoder.forward_batch(
            view.from_array(ids),
            view.from_array(lengths.astype(np.int32)),
            None if types is None else np.asarray(types).tolist(),
        )
        found = {"last_hidden_state": output.last_hidden_state, "pooler_output": output.pooler_output}
        return {name: _as_array(value) for name, value in found.items() if value is not None}

    def describe(self) -> dict[str, Any]:
        """Kind, versions, hash of the files, precision, device."""
        return super().describe() | {"compute_type": self.encoder.compute_type, "device": self.encoder.device}

    def files(self) -> tuple[Path, ...]:
        """What the folder holds."""
        return () if self.folder is None else tuple(sorted(path for path in self.folder.iterdir() if path.is_file()))


def _as_array(value: Any) -> Any:
    library = _library()
    if value.dtype in {library.DataType.float16, library.DataType.bfloat16}:
        value = value.to(library.DataType.float32)
    return np.array(value)


def _library() -> Any:
    try:
        import ctranslate2
    except ImportError as error:
        message = f'candidate: required ctranslate2, got {error}; install it: pip install "roberta[audit]"'
        raise ImportError(message, name="ctranslate2") from error
    return ctranslate2


def adapt(thing: Any, reference: Any = None) -> CTranslate2Candidate:
    """An encoder, or its folder, as a candidate.

    Raises:
        ImportError: without CTranslate2.
    """
    del reference
    if isinstance(thing, str | Path):
        return CTranslate2Candidate(_library().Encoder(str(thing)), Path(thing))
    return CTranslate2Candidate(thing)
