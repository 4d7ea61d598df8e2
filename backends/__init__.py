"""The engines: one folder each, the same file names as `reference/`. They never import each other."""
