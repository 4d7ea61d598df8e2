"""Files and folders, whatever is in them: `atomic` writes one whole, `places` finds a checkpoint. Knows no model."""
