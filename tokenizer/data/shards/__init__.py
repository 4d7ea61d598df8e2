"""A corpus that does not fit into memory: token shards on disk, and the rows of an epoch in any order.

To be read in this order:

1. ``index``, ``writing``, ``reading``: what a folder of shards is
2. ``packing``, ``rows``: where rows begin, found without reading a token, and any row by its number
3. ``permutation``, ``order``: the line of all rows of all epochs, and each rank's share of it
4. ``collating``: rows become masked batches
"""

from .collating import RowCollator
from .index import ShardIndex, ShardRecord, TokenizerIdentity, identity
from .order import BudgetBatches, PlaceBatches, PlacedRow, ShuffledRows
from .reading import Shard, TokenShards
from .rows import PackedRow, PackedRows
from .writing import write_token_shards

__all__ = [
    "BudgetBatches",
    "PackedRow",
    "PackedRows",
    "PlaceBatches",
    "PlacedRow",
    "RowCollator",
    "Shard",
    "ShardIndex",
    "ShardRecord",
    "ShuffledRows",
    "TokenShards",
    "TokenizerIdentity",
    "identity",
    "write_token_shards",
]
