"""A task over a file of any length: what `roberta run` does.

To be read in this order:

1. ``reading``: a file of lines, CSV, JSON lines or Parquet -> numbered rows
2. ``journal``: what has been answered so far, safe against being killed at any moment
3. ``run``: batch by batch, from the one to the other
4. ``writing``: the answers as JSON lines, CSV or Parquet
"""
