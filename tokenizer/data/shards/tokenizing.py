"""A corpus of texts becomes token shards: in parallel processes, and so that it may be stopped at any moment.

Each part of the input (`sources`) becomes one shard. What is finished lies under its final name, and beside it, in the
folder ``unfinished``, a note with its counts and its checksum; both are written beside their places and renamed, the
note last. So a run that is stopped, with ``kill -9`` too, leaves whole shards and nothing else that is taken for one,
and the same call goes on with the parts that have no note. The index comes last of all.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal, cast

from ....files.atomic import write_atomically
from ....files.generations import FULL
from .index import INDEX, ShardIndex, ShardRecord, TokenizerIdentity, identity
from .readers import ReadDocument, Reading, read_documents
from .sources import Source, Span, find_sources, parts_of
from .writing import ShardBuilder, shard_name

__all__ = ["ERRORS", "tokenize_corpus"]

ERRORS = "errors.jsonl"
"""The file of what could not be read, in the folder of the shards."""

#: The folder of what there is besides shards until the index is written, and the plan in it.
UNFINISHED, PLAN = "unfinished", "plan.json"

#: Characters that are tokenized at once: the library merges the new words of a batch together.
BATCH = 2**20


@dataclass(frozen=True)
class Job:
    """What a process has to know to make any of the shards.

    Args:
        folder: of the shards.
        sources: all files.
        parts: of the input, one for each shard.
        reading: how documents are read.
        made: whose ids they become.
        skips: whether unreadable documents are noted and left out.
    """

    folder: Path
    sources: tuple[Source, ...]
    parts: list[tuple[Span, ...]]
    reading: Reading
    made: TokenizerIdentity
    skips: bool

    def note(self, number: int) -> Path:
        """Where the note of a shard lies."""
        return self.folder / UNFINISHED / f"{number:05}.json"


def tokenize_corpus(
    paths: Iterable[str | Path],
    folder: str | Path,
    tokenizer: Any,
    *,
    reading: Reading = Reading(),  # noqa: B008  (frozen)
    format: str | None = None,
    shard_bytes: int = 2**26,
    processes: int = 1,
    errors: Literal["strict", "skip"] = "strict",
    track: Callable[[Sequence[int]], Iterable[int]] = iter,
) -> ShardIndex:
    r"""Tokenize files into a folder of shards, or go on with what was begun there.

    The bytes of all shards depend on the files, the tokenizer and the options; not on the number of processes, nor on
    where the work was stopped. Texts that spell a special token are plain text.

    Args:
        paths: files and folders: texts, ``.jsonl``, ``.parquet``; also ``.gz``, ``.bz2``, ``.xz``, ``.zst`` of them.
        folder: a new or empty one, or one in which the same was begun.
        tokenizer: one of this package; `RobertaTokenizerFast` is the fastest.
        reading: what a document is, and a sentence.
        format: ``"text"``, ``"jsonl"`` or ``"parquet"``; None: what each file's name says.
        shard_bytes: of text, decompressed, a shard. At least 1.
        processes: that work at once, each on one shard. With more than one the caller must be importable
            (``if __name__ == "__main__":``).
        errors: what an unreadable document is: ``"strict"``, an error; or ``"skip"``: it is noted in ``errors.jsonl``
            in the folder, and left out.
        track: is given the numbers of the shards to be made and gives them back one by one, for a progress bar.

    Returns:
        The index.

    Raises:
        FileExistsError: there is something else in the folder, or another run is at work in it.
        FileNotFoundError: an input is missing.
        ImportError: a library is missing that reads an input.
        OSError: such as a full disk; what is finished is kept.
        RuntimeError: a process was killed.
        ValueError: an unreadable document, with its file and line; or an option out of range.

    Example:
        >>> import tempfile
        >>> from roberta.tokenizer import RobertaTokenizer
        >>> tokenizer = RobertaTokenizer.train(["low lower lowest low"], vocab_size=263)
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "a.txt").write_text("low lower\n\nlow", encoding="utf-8")
        >>> reading = Reading(documents="blank")
        >>> tokenize_corpus([folder / "a.txt"], folder / "tokens", tokenizer, reading=reading).count("documents")
        2
    """
    _require_options(shard_bytes, processes, errors)
    folder, made = Path(folder), identity(tokenizer)
    options = {"format": format, "shard_bytes": shard_bytes, **asdict(reading)}
    names = [str(path) for path in paths]
    _require_apart(names, folder)
    with _own(folder):
        plan = _plan(folder)
        sources = find_sources(names, format, [] if plan is None else _sources(plan))
        wanted = {"options": options, "tokenizer": made.fingerprint, "sources": [asdict(source) for source in sources]}
        job = Job(folder, sources, parts_of(sources, shard_bytes), reading, made, errors == "skip")
        if (done := _finished(job, options)) is None:
            _require_content(job)
            _begin(folder, plan, json.loads(json.dumps(wanted)))
            _make(job, tokenizer, processes, track)
            done = _finish(job, options)
        shutil.rmtree(folder / UNFINISHED, ignore_errors=True)
        return done


# -- the folder --------------------------------------------------------------------------------------------------------


@contextmanager
def _own(folder: Path) -> Generator[None]:
    """Keep a second run out, as long as this process lives."""
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder}: expected a folder to write into, found a file; give another name")
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY) if os.name != "nt" else -1
    try:
        if handle >= 0:
            _lock(handle, folder)
        yield
    finally:
        if handle >= 0:
            os.close(handle)


def _lock(handle: int, folder: Path) -> None:
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise FileExistsError(
            f"{folder}: expected a folder that nobody writes into, but another run is at work in it; wait for it, or "
            "give another folder"
        ) from error
    except OSError:  # a file system without locks
        return


def _plan(folder: Path) -> dict[str, Any] | None:
    """What was begun here, if anything was."""
    path = folder / UNFINISHED / PLAN
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _sources(plan: Mapping[str, Any]) -> list[Source]:
    found: list[dict[str, Any]] = plan["sources"]
    stamps = [tuple(source["stamp"]) for source in found]
    return [Source(**{**source, "stamp": cast("Any", stamp)}) for source, stamp in zip(found, stamps, strict=True)]


def _finished(job: Job, options: Mapping[str, Any]) -> ShardIndex | None:
    """The index, where the same was finished before."""
    if not (job.folder / INDEX).exists():
        return None
    index = ShardIndex.read(job.folder)
    names = tuple(source.path for source in job.sources)
    if (index.tokenizer, index.sources, index.options) != (job.made, names, options):
        raise FileExistsError(
            f"{job.folder}: expected a new or an empty folder, or one of the same files, tokenizer and options, found "
            f"shards of others ({len(index.sources)} files, {index.options}); give another folder"
        )
    return index


def _begin(folder: Path, plan: dict[str, Any] | None, wanted: dict[str, Any]) -> None:
    """Note what is to be done; go on only where it is the same."""
    notes = {note.stem for note in (folder / UNFINISHED).glob("[0-9]*.json")}
    if strange := [path.name for path in folder.iterdir() if plan is None and path.name != UNFINISHED]:
        raise FileExistsError(
            f"{folder}: expected a new or an empty folder, found {strange[0]}; give another name, or remove it"
        )
    if notes and plan != wanted:
        changed = [name for name in wanted if plan is None or plan.get(name) != wanted[name]]
        raise FileExistsError(
            f"{folder}: expected what was begun there, but other {' and '.join(changed)} are given, or the files have "
            "changed; give what was given before, or another folder"
        )
    _sweep(folder, notes)
    write_atomically(folder / UNFINISHED / PLAN, (json.dumps(wanted, indent=1) + "\n").encode())


def _sweep(folder: Path, notes: set[str]) -> None:
    """Remove what a run that was killed was writing, and shards that it had no time to note."""
    shards = [path for path in folder.glob("shard-*") if path.stem.removeprefix("shard-") not in notes]
    halves = [half for name in ("shard-", ERRORS, INDEX) for half in folder.glob(f".{name}*")]
    for stray in [*shards, *halves, *(folder / UNFINISHED).glob(".*")]:
        stray.unlink(missing_ok=True)


def _require_options(shard_bytes: int, processes: int, errors: str) -> None:
    for name, number in (("shard_bytes", shard_bytes), ("processes", processes)):
        if number < 1:
            raise ValueError(f"{name}: expected at least 1, got {number}; pass a larger one")
    if errors not in ("strict", "skip"):
        raise ValueError(f"errors: expected strict or skip, got {errors!r}; pass one of these")


def _require_apart(paths: Iterable[str], folder: Path) -> None:
    for path in map(Path, paths):
        if path.is_dir() and folder.resolve().is_relative_to(path.resolve()):
            raise ValueError(
                f"{folder}: expected a folder outside the input, got one in {path}: shards would be read as texts; "
                "give another folder"
            )


def _require_content(job: Job) -> None:
    empty = [source.path for source in job.sources if not source.size]
    if empty and not job.skips:
        raise ValueError(f"{empty[0]}: expected documents, the file is empty; leave it out, or skip errors")


# -- the work ----------------------------------------------------------------------------------------------------------


def _make(job: Job, tokenizer: Any, processes: int, track: Callable[[Sequence[int]], Iterable[int]]) -> None:
    """Make the shards that have no note."""
    numbers = [number for number in range(len(job.parts)) if not _is_done(job, number)]
    try:
        if processes == 1 or len(numbers) < 2:
            for number in track(numbers):
                _write_shard(job, tokenizer, number)
        else:
            _in_processes(job, tokenizer, min(processes, len(numbers)), numbers, track)
    except OSError as error:
        if error.errno not in FULL:
            raise
        finished = sum(_is_done(job, number) for number in range(len(job.parts)))
        message = f"{error.strerror}: {finished} of {len(job.parts)} shards in {job.folder} are whole"
        raise OSError(error.errno, f"{message}; make room and give the same command again: it goes on") from error


def _in_processes(
    job: Job, tokenizer: Any, processes: int, numbers: list[int], track: Callable[[Sequence[int]], Iterable[int]]
) -> None:
    # Fresh processes: a fork of one with threads, as the library has, may wait for ever.
    pool = ProcessPoolExecutor(processes, get_context("spawn"), _start, (job, tokenizer))
    try:
        results = pool.map(_write_numbered, numbers)
        for _ in track(numbers):
            next(results)
    except BrokenProcessPool as error:
        raise RuntimeError(
            f"a process that made shards in {job.folder} was killed, perhaps for want of memory; give the same command "
            "again, with fewer processes: it goes on"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


_STARTED: list[tuple[Job, Any]] = []  # of this process


def _start(job: Job, tokenizer: Any) -> None:
    """Begin a process: one thread, since each core has a process; and an end with the one that began it."""
    from multiprocessing import parent_process
    from threading import Thread

    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    _STARTED[:] = [(job, tokenizer)]
    parent = parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)  # it was killed, and cannot say so

    Thread(target=follow, daemon=True).start()


def _write_numbered(number: int) -> None:
    _write_shard(*_STARTED[0], number)


@contextmanager
def _uncollected() -> Generator[None]:
    """No search for circles among millions of small lists, which have none: it takes a quarter of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@_uncollected()
def _write_shard(job: Job, tokenizer: Any, number: int) -> None:
    builder = ShardBuilder(job.made.dtype)
    problems: list[dict[str, str]] = []
    for batch in _batches(job, number, problems):
        texts = [text for document in batch for text in document.sentences]
        ids = [encoded.ids for encoded in tokenizer.engine.encode(texts, True)]
        counts = [len(document.sentences) for document in batch]
        builder.add_all(ids, counts, [(document.file, document.offset) for document in batch])
    record = builder.write(job.folder / shard_name(number))
    note = {"record": asdict(record), "problems": problems}
    write_atomically(job.note(number), json.dumps(note).encode())


def _batches(job: Job, number: int, problems: list[dict[str, str]]) -> Iterator[list[ReadDocument]]:
    """The readable documents of a part, so many at once as are worth it."""
    batch: list[ReadDocument] = []
    size = 0
    for document in read_documents(job.sources, job.parts[number], job.reading):
        if document.problem:
            where = document.where(job.sources)
            if not job.skips:
                raise ValueError(f"{where}: {document.problem}; mend it, or skip errors: then it is noted and left out")
            problems.append({"where": where, "problem": document.problem})
            continue
        batch.append(document)
        size += sum(map(len, document.sentences))
        if size >= BATCH:
            yield batch
            batch, size = [], 0
    yield batch


def _is_done(job: Job, number: int) -> bool:
    shard = job.folder / shard_name(number)
    return job.note(number).is_file() and shard.is_file() and shard.stat().st_size == _record(job, number).bytes


def _record(job: Job, number: int) -> ShardRecord:
    return ShardRecord(**json.loads(job.note(number).read_text(encoding="utf-8"))["record"])


def _finish(job: Job, options: Mapping[str, Any]) -> ShardIndex:
    """Write the errors, if there are, and the index."""
    problems = [{"where": source.path, "problem": "the file is empty"} for source in job.sources if not source.size]
    for number in range(len(job.parts)):
        problems += json.loads(job.note(number).read_text(encoding="utf-8"))["problems"]
    if problems:
        lines = "".join(json.dumps(problem, ensure_ascii=False) + "\n" for problem in problems)
        write_atomically(job.folder / ERRORS, lines.encode())
    records = tuple(_record(job, number) for number in range(len(job.parts)))
    names = tuple(source.path for source in job.sources)
    index = ShardIndex(job.made, records, names, options, len(problems))
    index.write(job.folder)
    return index
