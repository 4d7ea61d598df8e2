"""Compressed files: gzip, bzip2 and xz by the standard library, Zstandard by its own."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast


def opened(path: Path) -> IO[bytes]:
    """Open a file, to be read from its beginning, decompressed if its suffix says that it is compressed.

    Raises:
        FileNotFoundError: there is no such file.
        ImportError: a library is missing; says what to type.
    """
    opener = COMPRESSIONS.get(path.suffix)
    return path.open("rb", buffering=2**20) if opener is None else opener(path)


def length(path: Path) -> int:
    """How long a compressed file is, decompressed: read through, which also shows whether it is whole.

    Raises:
        ValueError: it is damaged, or cut.
        ImportError: a library is missing; says what to type.
    """
    with refusing_damage(path):
        if path.suffix == ".zst":
            return _zstandard_length(path)
        with opened(path) as stream:
            return sum(map(len, iter(lambda: stream.read(2**20), b"")))


@contextmanager
def refusing_damage(path: Path) -> Generator[None]:
    """In a `with` block that reads a compressed file: what its library raises of a damaged one is said in our words.

    Raises:
        ValueError: the file is damaged, or cut.
    """
    if path.suffix not in COMPRESSIONS:
        yield
        return
    try:
        yield
    except (OSError, EOFError, *_errors(path)) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        message = f"{path}: expected a file that {path.suffix[1:]} can decompress, got a damaged one ({error})"
        raise ValueError(f"{message}; copy it again, or leave it out") from error


# -- one for each ------------------------------------------------------------------------------------------------------


def _gzip(path: Path) -> IO[bytes]:
    import gzip

    return cast("IO[bytes]", gzip.open(path, "rb"))


def _bzip2(path: Path) -> IO[bytes]:
    import bz2

    return bz2.open(path, "rb")


def _xz(path: Path) -> IO[bytes]:
    import lzma

    return lzma.open(path, "rb")


def _zstandard(path: Path) -> IO[bytes]:
    from io import BufferedReader

    stream = _zstandard_library(path).ZstdDecompressor().stream_reader(path.open("rb"), read_across_frames=True)
    return cast("IO[bytes]", BufferedReader(stream, 2**20))


def _zstandard_length(path: Path) -> int:
    """Frame by frame: the stream that is read from ends in silence where a file was cut."""
    length, frame = 0, None
    with path.open("rb") as file:
        while content := file.read(2**20):
            while content:
                frame = frame or _zstandard_library(path).ZstdDecompressor().decompressobj()
                length += len(frame.decompress(content))
                content, frame = (frame.unused_data, None) if frame.eof else (b"", frame)
    if frame is not None:
        message = "the last frame is cut"
        raise EOFError(message)
    return length


def _zstandard_library(path: Path) -> Any:
    try:
        import zstandard
    except ImportError as error:
        raise ImportError(f'{path}: .zst needs zstandard ({error}); pip install "roberta[data]"') from error
    return zstandard


def _errors(path: Path) -> tuple[type[Exception], ...]:
    if path.suffix == ".xz":
        import lzma

        return (lzma.LZMAError,)
    if path.suffix == ".gz":
        import zlib

        return (zlib.error,)
    return (_zstandard_library(path).ZstdError,) if path.suffix == ".zst" else ()


COMPRESSIONS: dict[str, Callable[[Path], IO[bytes]]] = {
    ".gz": _gzip,
    ".bz2": _bzip2,
    ".xz": _xz,
    ".zst": _zstandard,
}
"""Suffix -> what opens such a file."""
