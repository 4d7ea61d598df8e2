"""Damaged and hostile files of every format, drawn by what a format is made of: refused, or read within bounds.

    ROBERTA_TEST_MUTANTS=50000 python -m pytest tests/files/formats/test_mutants.py -s

A few thousand are drawn in the suite. Each mutant changes one to four places: bytes, runs of them, numbers that the
format counts by, names, and pieces of another file. Nothing but the errors that a reader documents may be raised, their
texts can be printed, and what is read has no more numbers than the file's size allows.
"""

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import msgpack
import numpy as np
import pytest
from roberta.dispatch.checkpoint import read_checkpoint
from roberta.files.formats import hdf5, pytorch, safetensors
from roberta.files.formats import msgpack as msgpack_format
from roberta.reference.config import RobertaConfig

COUNT = int(os.environ.get("ROBERTA_TEST_MUTANTS", "4000"))
USED = (h5py, msgpack)
#: Numbers that readers stumble over.
NUMBERS = (0, 1, -1, 127, 128, 255, 2**15, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1)
WORDS = (
    b"os\nsystem\n",
    b"builtins\neval\n",
    b"F8_E4M3",
    b"../../x",
    b"\x00",
    b"[[[[",
    b"NaN",
    b"1e999",
    b"object",
    b"\xff" * 9,
)
READERS: dict[str, tuple[str, Any, int]] = {
    "safetensors": ("model.safetensors", safetensors, 1),
    "pytorch": ("pytorch_model.bin", pytorch, 1),
    "pytorch, old": ("pytorch_model.bin", pytorch, 1),
    "h5": ("tf_model.h5", hdf5, hdf5.PACKED),
    "msgpack": ("flax_model.msgpack", msgpack_format, 1),
}


def mutant(content: bytes, rng: Any) -> bytes:
    """The same with one to four places changed."""
    found = bytearray(content)
    head = min(len(found), 4096)  # where most of what is counted lies; the other half of the draws go anywhere
    for _ in range(rng.integers(1, 5)):
        place = int(rng.integers(0, head if rng.random() < 0.5 else max(len(found), 1)))
        match rng.integers(0, 7):
            case 0:
                found[place : place + 1] = bytes([rng.integers(0, 256)])
            case 1:
                del found[place : place + int(rng.integers(1, 65))]
            case 2:
                found[place:place] = found[place : place + int(rng.integers(1, 65))]
            case 3:
                size = (1, 2, 4, 8)[rng.integers(0, 4)]
                number = NUMBERS[rng.integers(0, len(NUMBERS))] & (2 ** (8 * size) - 1)
                found[place : place + size] = number.to_bytes(size, "little" if rng.random() < 0.5 else "big")
            case 4:
                found[place:place] = WORDS[rng.integers(0, len(WORDS))]
            case 5:
                other = int(rng.integers(0, max(len(found), 1)))
                found[place : place + 16] = found[other : other + 16]
            case _:
                del found[place:]
    return bytes(found)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mutants")


def original(name: str, folder: Path, state: dict[str, Any]) -> bytes:
    """A good file of a format."""
    path = folder / "original"
    if name == "pytorch, old":
        torch = pytest.importorskip("torch", reason="what writes the old files")
        tensors = {key: torch.from_numpy(array) for key, array in state.items()}
        torch.save({"model": tensors, "epoch": 3}, path, _use_new_zipfile_serialization=False)
    else:
        READERS[name][1].write(path, state, "sequence_classification")
    return path.read_bytes()


@pytest.mark.parametrize("name", READERS)
def test_mutants_of_weights_are_read_within_bounds_or_refused(
    name: str, folder: Path, state_of: Callable[..., dict[str, Any]]
) -> None:
    file, module, times = READERS[name]
    content, rng = original(name, folder, state_of("sequence_classification")), np.random.default_rng(0)
    path, told = folder / file, Counter[str]()
    for _ in range(COUNT // len(READERS)):
        changed = mutant(content, rng)
        path.write_bytes(changed)
        try:
            found = module.read(path)
        except ValueError as error:
            assert file in str(error)  # noqa: PT017  # read or refused
            str(error).encode("ascii", "strict" if name != "safetensors" else "backslashreplace")
            told[type(error).__name__] += 1
        else:
            assert sum(array.nbytes for array in found.values()) <= times * max(len(changed), len(content))
            told["read"] += 1
    print(f"{name}: {dict(told)}")
    assert told["ValueError"] > COUNT // len(READERS) // 10


def test_mutants_of_folders_are_read_or_refused(folder: Path, state_of: Callable[..., dict[str, Any]]) -> None:
    """config.json and an index, too, through what `from_pretrained` does."""
    state, rng, told = state_of("model"), np.random.default_rng(1), Counter[str]()
    names = list(state)
    place = folder / "folder"
    place.mkdir()
    RobertaConfig(
        vocab_size=23, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=12,
        max_position_embeddings=16,
    ).save_pretrained(place)  # fmt: skip
    for number, part in enumerate((names[::2], names[1::2]), start=1):
        safetensors.write(place / f"model-0000{number}-of-00002.safetensors", {n: state[n] for n in part}, "model")
    import json

    told_by = {n: f"model-0000{1 + (i % 2)}-of-00002.safetensors" for i, n in enumerate(names)}
    (place / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": told_by}))
    good = {name: (place / name).read_bytes() for name in ("config.json", "model.safetensors.index.json")}
    for _ in range(COUNT // 10):
        for name, content in good.items():
            (place / name).write_bytes(mutant(content, rng) if rng.random() < 0.7 else content)
        try:
            read_checkpoint(place, RobertaConfig)
        except (ValueError, TypeError, FileNotFoundError) as error:
            str(error).encode("utf-8")
            told[type(error).__name__] += 1
        else:
            told["read"] += 1
    print(dict(told))
    assert told["read"] > 0
    assert told["ValueError"] > COUNT // 40
