"""From a name to a model: which engine, which checkpoint, which checks, which task."""
