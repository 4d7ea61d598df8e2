"""Files of weights, one module a format, and the table that names them. Nothing in a file is ever run."""
