"""Probes as folders, by which a port in another language is judged: `exporting` writes them, `folder` judges."""
