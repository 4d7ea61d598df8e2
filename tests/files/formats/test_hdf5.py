"""TensorFlow's files, and Keras', without TensorFlow: names, links that lead elsewhere, packing, damage."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from roberta.files.formats import hdf5, spelling
from roberta.reference.parameters import HEADS

WORDS = "roberta/tf_roberta_model/roberta/embeddings/word_embeddings/weight:0"


Make = Callable[..., dict[str, Any]]
Same = Callable[[dict[str, Any], dict[str, Any]], bool]


@pytest.mark.parametrize("file", ["tf_model.h5", "tf_model-00001-of-00002.h5"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("head", HEADS)
def test_what_is_written_is_read_to_the_bit(
    head: str, dtype: str, file: str, tmp_path: Path, state_of: Make, same: Same
) -> None:
    fields = {"is_decoder": True, "add_cross_attention": True} if head == "causal_lm" else {}
    state = state_of(head, dtype, **fields)
    hdf5.write(tmp_path / file, state, head)
    wanted = {name if head != "model" else f"roberta.{name}": array for name, array in state.items()}
    assert same(hdf5.read(tmp_path / file), wanted)


def test_names_go_both_ways(state_of: Make) -> None:
    for head in HEADS:
        for name in state_of(head, position_embedding_type="relative_key"):
            whole = name if head != "model" else f"roberta.{name}"
            spelled, is_turned = hdf5.spelled(hdf5.spelled_for(name, head))
            assert (spelled, is_turned) == (whole, spelling.tensorflow_name(name)[1])
            assert spelling.hf_name(spelling.flax_name(name)[0].split("/")) == (name, is_turned)


def test_many_names_are_written_in_parts_as_keras_does(tmp_path: Path, state_of: Make, same: Same) -> None:
    state = state_of("masked_lm")
    more = {f"roberta.encoder.layer.{i}.output.dense.bias": np.zeros(1, np.float32) for i in range(2, 900)}
    hdf5.write(tmp_path / "x.h5", {**state, **more}, "masked_lm")
    with h5py.File(tmp_path / "x.h5") as file:
        assert {"weight_names0", "weight_names1"} <= {*file["roberta"].attrs}
    assert same(hdf5.read(tmp_path / "x.h5"), {**state, **more})


def test_what_tensorflow_s_classes_have_not_is_refused(tmp_path: Path, state_of: Make) -> None:
    untied = state_of("masked_lm", tie_word_embeddings=False)
    with pytest.raises(ValueError, match=r"lm_head.decoder.weight: required a decoder that is the word table"):
        hdf5.write(tmp_path / "x.h5", untied, "masked_lm")
    with pytest.raises(ValueError, match=r"x.h5: required float32, float64 or float16.*got bfloat16"):
        hdf5.write(tmp_path / "x.h5", state_of("model", "bfloat16"), "model")


# -- what leads elsewhere ----------------------------------------------------------------------------------------------


def hostile(path: Path, change: Any) -> Path:
    with h5py.File(path, "w") as file:
        file[WORDS] = np.ones((3, 2), np.float32)
        change(file)
    return path


def virtual(file: Any) -> None:
    layout = h5py.VirtualLayout((3,), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (3,))
    file.create_virtual_dataset("v/weight:0", layout)


def circle(file: Any) -> None:
    file["roberta/a"] = file["roberta"]


def deep(file: Any) -> None:
    file["/".join("abcdefgh" * 5)] = np.ones(2, np.float32)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: f.__setitem__("x", h5py.ExternalLink("/etc/hostname", "x")), "'x' is a link to somewhere else"),
        (lambda f: f.__setitem__("x", h5py.SoftLink("/roberta")), "'x' is a link to somewhere else"),
        (lambda f: f["roberta"].__setitem__("y", h5py.ExternalLink("o.h5", "x")), "'roberta/y' is a link"),
        (virtual, "'v/weight:0' lie in another file"),
        (lambda f: f.create_dataset("e/weight:0", (4,), "f4", external=[("/etc/hostname", 0, 16)]), "in another file"),
        (circle, "'roberta/a' lies in itself"),
        (deep, "deeper than 32 groups"),
        (lambda f: f.create_dataset("z/weight:0", (10**9,), "f4", chunks=(2**16,), compression="gzip"),
         r"'z/weight:0' of shape \(1000000000,\) is larger than 16 times the file"),
        (lambda f: f.create_dataset("z/weight:0", (2**61,), "f4", chunks=(2**16,)), "larger than 16 times"),
        (lambda f: f.__setitem__(WORDS.replace("roberta/tf", "lm_head/tf", 1), np.zeros((3, 2), np.float32)),
         "required one array for 'roberta.embeddings.word_embeddings.weight', got another"),
    ],
    ids=["external", "soft", "inner", "virtual", "storage", "circle", "deep", "packed", "claimed", "two"],
)  # fmt: skip
def test_what_leads_out_of_the_file_or_is_larger_is_refused(change: Any, said: str, tmp_path: Path) -> None:
    path = hostile(tmp_path / "x.h5", change)
    with pytest.raises(ValueError, match=said) as error:
        hdf5.read(path)
    assert "x.h5" in str(error.value)


def test_what_is_packed_as_well_as_weights_can_be_is_read(tmp_path: Path, same: Same) -> None:
    array = np.random.default_rng(0).standard_normal((50, 40)).astype(np.float32)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset(WORDS, data=array, compression="gzip")
        file["roberta/tf_roberta_model/roberta/embeddings/position_ids:0"] = np.arange(3)
    assert same(hdf5.read(tmp_path / "x.h5"), {"roberta.embeddings.word_embeddings.weight": array})


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n", b"x" * 5000, b"PK\x03\x04"])
def test_another_file_is_damaged_and_says_what_to_do(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.h5").write_bytes(content)
    with pytest.raises(ValueError, match=r"x.h5 is damaged or no HDF5 file .*save or download it again"):
        hdf5.read(tmp_path / "x.h5")


def test_a_file_without_weights_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["a"] = np.arange(3)
    with pytest.raises(ValueError, match="required arrays of floating-point numbers"):
        hdf5.read(tmp_path / "x.h5")


def test_without_the_library_it_says_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    for call in (lambda: hdf5.read(tmp_path / "x.h5"), lambda: hdf5.write(tmp_path / "x.h5", {}, "model")):
        with pytest.raises(ModuleNotFoundError, match=r'h5py, .* is not installed: pip install "roberta\[formats\]"'):
            call()
