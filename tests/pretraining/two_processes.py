"""Two processes of PyTorch train as they should, and then with mistakes that people make; torchrun starts them.

    torchrun --nproc-per-node 2 two_processes.py OUT train SHARDS OUT OPTIONS…

Each run ends in a folder of its own, OUT-NAME.
"""

from __future__ import annotations

import sys
from pathlib import Path
from unittest import mock

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
sys.path.insert(0, str(EXAMPLES))

import pretrain_shards  # noqa: E402
import torch.distributed as dist  # noqa: E402
from pretraining import corpus, loop, with_torch  # noqa: E402

ENGINE = with_torch.TorchEngine


def mean_of_means(engine: ENGINE, count: int) -> int:
    """Each process divides by its own count of hidden tokens, and the mean of that is taken."""
    return count * engine.layout.world


def first_rows_for_all(line: corpus.Corpus, step: int, size: int, layout: corpus.Layout) -> corpus.Batch:
    """Each process gets the rows of the first."""
    return corpus.batch_of(line, step, size, layout._replace(rank=0))


def own_dropped(engine: ENGINE, *, is_last: bool) -> mock.Mock:
    """Only the gradients of the last piece are added up over processes."""
    if is_last:
        for parameter in engine.parameters.values():
            parameter.grad = None
    return reducing(engine, is_last=is_last)


reducing = ENGINE.reducing
#: Name -> options of the command, and what is wrong.
RUNS = {
    "ddp": ((), None),
    "fsdp": (("--way", "fsdp"), None),
    "stopped": (("--way", "fsdp", "--stop-after", "9"), None),
    "mean-of-means": ((), mock.patch.object(ENGINE, "total", mean_of_means)),
    "first-rows-for-all": ((), mock.patch.object(loop, "batch_of", first_rows_for_all)),
    "last-piece-only": ((), mock.patch.object(ENGINE, "reducing", own_dropped)),
}


def main(out: str, *arguments: str) -> None:
    start, close = with_torch.start, ENGINE.close
    with_torch.start = lambda: found  # joined once for all runs
    found = start()
    ENGINE.close = lambda engine: dist.barrier()
    for name, (options, mistake) in RUNS.items():
        given = [f"{out}-{name}" if argument == out else argument for argument in arguments]
        with mistake or mock.MagicMock():
            pretrain_shards.app([*given, *options], standalone_mode=False)
    dist.barrier()
    dist.destroy_process_group()
    ENGINE.close = close


if __name__ == "__main__":
    main(*sys.argv[1:])
