"""A corpus that does not fit into memory: token shards on disk, and the rows of an epoch in any order."""

from .index import ShardIndex, ShardRecord, TokenizerIdentity, identity
from .reading import Shard, TokenShards
from .writing import write_token_shards

__all__ = [
    "Shard",
    "ShardIndex",
    "ShardRecord",
    "TokenShards",
    "TokenizerIdentity",
    "identity",
    "write_token_shards",
]
