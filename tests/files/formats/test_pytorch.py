"""PyTorch's files against PyTorch: what it saves is read to the bit without it, and it reads what is written."""

import argparse
import collections
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from roberta.files.formats import pytorch

DTYPES = ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"]


def same(found: Any, tensor: Any) -> bool:
    """Equal to the bit, shape and dtype included."""
    wanted = tensor.detach().contiguous()
    return (
        found.shape == tuple(wanted.shape)
        and found.dtype.name == str(wanted.dtype).removeprefix("torch.")
        and found.tobytes() == wanted.flatten().view(torch.uint8).numpy().tobytes()
    )


def everything() -> dict[str, Any]:
    """Tensors of each dtype and each way in which a tensor can lie in its storage."""
    torch.manual_seed(0)
    whole = torch.randn(3, 5)
    return {
        **{dtype: (torch.randn(2, 3) * 9).to(getattr(torch, dtype)) for dtype in DTYPES},
        "transposed": whole.t(), "part": whole[1:, 2:4], "stepped": whole[::2, ::3], "tied": whole,
        "none": torch.zeros(0, 4), "one": torch.tensor(1.5), "expanded": torch.arange(4).expand(1, -1),
        "parameter": torch.nn.Parameter(torch.ones(2)), "buffer": torch.nn.Buffer(torch.ones(3)),
        "odd.name ü": torch.ones(1), "unaligned": torch.arange(9.0, dtype=torch.float64)[1:],
    }  # fmt: skip


# -- read --------------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("is_zip", [True, False])
def test_what_pytorch_saves_is_read_to_the_bit(is_zip: bool, protocol: int, tmp_path: Path) -> None:
    path, state = tmp_path / "x.bin", everything()
    torch.save(state, path, _use_new_zipfile_serialization=is_zip, pickle_protocol=protocol)
    found = pytorch.read(path)
    safe = torch.load(path, weights_only=True) if protocol < 4 else state  # where it knows the words itself
    assert found.keys() == state.keys()
    assert all(same(found[name], tensor) for name, tensor in state.items())
    assert all(same(found[name], tensor) for name, tensor in safe.items())
    assert not is_zip or np.shares_memory(found["tied"], found["transposed"])


@pytest.mark.parametrize("is_zip", [True, False])
@pytest.mark.parametrize("key", ["state_dict", "model", "model_state_dict", "module", None])
def test_weights_are_found_beside_an_optimizer_s_state_and_settings(key: str, is_zip: bool, tmp_path: Path) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.LayerNorm(2))
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    beside = {
        "optimizer": optimizer.state_dict(), "epoch": 3, "args": argparse.Namespace(lr=1e-4),
        "numpy": np.float64(2), "random": torch.get_rng_state(),
        "hyper_parameters": collections.OrderedDict(a=(1, None)),
    }  # fmt: skip
    torch.save({key: model.state_dict(), **beside} if key else model.state_dict(), tmp_path / "x.ckpt",
               _use_new_zipfile_serialization=is_zip)  # fmt: skip
    found = pytorch.read(tmp_path / "x.ckpt")
    assert {name: array.shape for name, array in found.items()} == {
        "0.weight": (2, 3), "0.bias": (2,), "1.weight": (2,), "1.bias": (2,)
    }  # fmt: skip
    assert all(same(found[name], tensor) for name, tensor in model.state_dict().items())


def test_a_row_of_numbers_is_mapped_and_private(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1000)}, tmp_path / "x.bin")
    before = (tmp_path / "x.bin").read_bytes()
    pytorch.read(tmp_path / "x.bin")["a"][:] = 1
    assert (tmp_path / "x.bin").read_bytes() == before
    assert not pytorch.read(tmp_path / "x.bin")["a"].any()


# -- write -------------------------------------------------------------------------------------------------------------


def test_pytorch_reads_what_is_written_to_the_bit_and_maps_it(tmp_path: Path) -> None:
    import ml_dtypes  # noqa: F401  # makes bfloat16 known to NumPy

    rng, path = np.random.default_rng(0), tmp_path / "x.bin"
    state = {dtype: (rng.standard_normal((2, 3)) * 9).astype(dtype) for dtype in DTYPES}
    state |= {"one": np.float32(1.5), "none": np.zeros((0, 4), np.float16), "ü.name": np.ones((2, 1, 3))}
    pytorch.write(path, state, "model")
    for found in (torch.load(path, weights_only=True), torch.load(path, mmap=True, weights_only=True)):
        assert list(found) == list(state)
        assert all(same(np.asarray(state[name]), tensor) for name, tensor in found.items())
    assert {name: array.tobytes() for name, array in pytorch.read(path).items()} == {
        name: np.asarray(array).tobytes() for name, array in state.items()
    }
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None


# -- refused -----------------------------------------------------------------------------------------------------------


class Whole(torch.nn.Module):
    """A model that is saved whole."""


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
@pytest.mark.parametrize("is_zip", [True, False])
def test_what_is_no_dict_of_tensors_is_refused_by_its_name(is_zip: bool, tmp_path: Path) -> None:
    path = tmp_path / "x.bin"

    def read_of(value: Any) -> Any:
        torch.save(value, path, _use_new_zipfile_serialization=is_zip)
        return pytorch.read(path)

    for value, said in (
        (Whole(), r"x.bin is not read: it asks for .*Whole, .*torch.save\(model.state_dict\(\), file\)"),
        (torch.nn.Linear(2, 2), r"torch.nn.modules.linear.Linear, which no tensor needs: somebody's object"),
        ({"a": print}, "asks for (__)?builtins?(__)?.print, which no tensor needs. Only tensors in dicts"),
        ({"a": torch.ones(2, dtype=torch.complex64)}, "torch.ComplexFloatStorage, .*another kind; floats of 16"),
        ({"a": torch.ones(3, 3).to_sparse()}, "rebuild_sparse_tensor"),
        ({"a": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)}, "QInt8Storage|rebuild_qtensor"),
        (
            {"a": torch.ones(2).to(torch.float8_e4m3fn)},
            "torch.float8_e4m3fn, which no tensor needs: numbers of another kind",
        ),
        ({}, "required a dict of names and tensors, .*got dict"),
        ([1], "got list"),
        ({"epoch": 3, "name": "x"}, "got 'epoch', 'name'"),
    ):
        with pytest.raises(ValueError, match=said):
            read_of(value)


def test_a_torchscript_program_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.pt", "w") as archive:
        archive.writestr("x/data.pkl", b"\x80\x02}.")
        archive.writestr("x/constants.pkl", b"\x80\x02).")
        archive.writestr("x/code/__torch__.py", b"raise")
    with pytest.raises(ValueError, match=r"is not read: it is a TorchScript program; save its state_dict"):
        pytorch.read(tmp_path / "x.pt")


def archive_of(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def described(shape: tuple[int, ...], strides: tuple[int, ...], offset: int = 0, count: int = 6) -> bytes:
    """The pickle of one tensor "w", with whatever numbers."""
    whole = pytorch._pickled([("w", np.dtype("float32"), (5, 7))])
    number = pytorch._number
    old = number(0) + b"(" + number(5) + number(7) + b"t(" + number(7) + number(1) + b"t"
    new = number(offset) + b"(" + b"".join(map(number, shape)) + b"t(" + b"".join(map(number, strides)) + b"t"
    assert whole.count(old) == 1
    return whole.replace(old, new).replace(number(35) + b"tQ", number(count) + b"tQ")


@pytest.mark.parametrize(
    ("pickled", "said"),
    [
        (described((2, 3), (3, 1)), None),
        (described((2, 4), (4, 1)), r"shape \(2, 4\) wants 8 numbers of 6"),
        (described((6,), (1,), offset=1), r"wants 7 numbers of 6"),
        (described((2, 2), (6, 1)), r"wants 8 numbers of 6"),
        (described((10**9,), (0,)), r"wants 1000000000 numbers of 6"),
        (described((2**61, 2**61), (0, 0)), "numbers of 6"),
        (described((7,), (1,), count=10**12), "wants 7 numbers of 6"),
        (described((-1,), (1,)), "no natural number"),
        (described((2,), (-1,), offset=5), "no natural number"),
        (described((2,), (1, 1)), "more sizes than steps"),
        (described((0, 2**61), (1, 1)), "damaged"),
    ],
)
def test_a_tensor_has_no_more_numbers_than_its_storage(pickled: bytes, said: str | None, tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    archive_of(path, {"a/data.pkl": pickled, "a/data/0": bytes(24), "a/version": b"3\n"})
    if said is None:
        assert pytorch.read(path)["w"].shape == (2, 3)
    else:
        with pytest.raises(ValueError, match=said):
            pytorch.read(path)


GOOD = described((2, 3), (3, 1))


@pytest.mark.parametrize(
    ("members", "compression", "said"),
    [
        ({"a/data.pkl": GOOD, "a/data/0": bytes(10**6)}, zipfile.ZIP_DEFLATED, "is compressed or encrypted"),
        ({"a/data.pkl": GOOD}, zipfile.ZIP_STORED, "storage '0' of a tensor is missing"),
        ({"a/data.pkl": GOOD, "b/data/0": bytes(24)}, zipfile.ZIP_STORED, "storage '0' of a tensor is missing"),
        ({"a/data.pkl": GOOD, "b/data.pkl": GOOD}, zipfile.ZIP_STORED, "one has to be NAME/data.pkl"),
        ({"x": b""}, zipfile.ZIP_STORED, "one has to be NAME/data.pkl"),
        ({"a/data.pkl": GOOD, "a/data/0": bytes(24), "a/byteorder": b"big"}, zipfile.ZIP_STORED, "big-endian"),
        ({"a/data.pkl": b"", "a/data/0": bytes(24)}, zipfile.ZIP_STORED, "damaged .*pickle exhausted"),
    ],
)
def test_an_archive_that_is_none_of_pytorch_s_is_damaged(
    members: dict[str, bytes], compression: int, said: str, tmp_path: Path
) -> None:
    archive_of(tmp_path / "x.bin", members, compression)
    with pytest.raises(ValueError, match=said) as error:
        pytorch.read(tmp_path / "x.bin")
    assert "x.bin" in str(error.value)


@pytest.mark.parametrize(
    "content", [b"", b"PK", b"PK\x03\x04", b"\x80\x02", b"ustar" * 200, b"\x80\x02K\x01.", b"\x00" * 99]
)
def test_another_file_is_damaged_and_says_what_to_do(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(content)
    with pytest.raises(ValueError, match=r"x.bin is damaged or no file of PyTorch's .*save or download it again"):
        pytorch.read(tmp_path / "x.bin")


def test_an_old_file_s_storages_must_be_there(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    torch.save({"a": torch.ones(4)}, path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    assert content.endswith(struct.pack("<q4f", 4, 1, 1, 1, 1))
    for damaged in (content[:-1], content[:-24] + struct.pack("<q", 2**61) + content[-16:], content[:-24]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"numbers ends behind the file|wants 4 numbers of 0"):
            pytorch.read(path)


def test_an_old_file_says_what_it_is_and_which_end_its_numbers_begin_with(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    torch.save({"a": torch.ones(4)}, path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    place = content.index(b"\x88", content.index(b"little_endian"))  # the word for True
    version = b"\x80\x02M" + struct.pack("<H", 1001) + b"."
    assert content.count(version) == 1
    for damaged, said in (
        (content[:place] + b"\x89" + content[place + 1 :], "another version than 1001, or big-endian numbers"),
        (content.replace(version, b"\x80\x02M" + struct.pack("<H", 1002) + b"."), "another version than 1001"),
        (pickle.dumps(7, 2) + content, "its first value is not torch's"),
        (pickle.dumps(True, 2) + content, "its first value is not torch's"),
    ):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=said):
            pytorch.read(path)


def test_an_archive_s_members_lie_where_its_table_says(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    archive_of(path, {"a/data.pkl": GOOD, "a/data/0": bytes(24)}, zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    entry = content.rindex(b"PK\x01\x02")  # the table's last
    (begin,) = struct.unpack_from("<I", content, entry + 42)
    for wrong in (begin + 1, len(content) - 9):
        struct.pack_into("<I", content, entry + 42, wrong)
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"its member 'a/data/0' is not where its table says"):
            pytorch.read(path)
