"""A corpus that does not fit into memory: token shards on disk, and the rows of an epoch in any order.

To be read in this order:

1. ``index``, ``writing``, ``reading``: what a folder of shards is
2. ``sources``, ``readers``, ``sentences``, ``tokenizing``: how files of text become one
3. ``packing``, ``rows``: where rows begin, found without reading a token, and any row by its number
4. ``permutation``, ``order``: the line of all rows of all epochs, and each rank's share of it
5. ``collating``: rows become masked batches
"""

from .collating import RowCollator
from .index import ShardIndex, ShardRecord, TokenizerIdentity, identity
from .order import BudgetBatches, PlaceBatches, PlacedRow, ShuffledRows
from .readers import Reading
from .reading import Shard, TokenShards
from .rows import PackedRow, PackedRows
from .tokenizing import tokenize_corpus
from .writing import write_token_shards

__all__ = [
    "BudgetBatches",
    "PackedRow",
    "PackedRows",
    "PlaceBatches",
    "PlacedRow",
    "Reading",
    "RowCollator",
    "Shard",
    "ShardIndex",
    "ShardRecord",
    "ShuffledRows",
    "TokenShards",
    "TokenizerIdentity",
    "identity",
    "tokenize_corpus",
    "write_token_shards",
]
