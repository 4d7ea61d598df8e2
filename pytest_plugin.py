"""pytest's entry point: the option `--roberta-parity`, and nothing else until it is given.

pytest imports this module in every run of every project in whose environment `roberta` is installed. So it is no part
of `parity`, whose import costs NumPy and SciPy, and loads `parity.pytest_items`, which does the work, when asked.
"""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Say that there is the option."""
    parser.getgroup("roberta").addoption(
        "--roberta-parity",
        action="store_true",
        help="audit the candidate that [tool.roberta-parity] in pyproject.toml names: a test for each probe",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register what collects the probes, if they are asked for."""
    if config.getoption("--roberta-parity"):
        from .parity.pytest_items import Parity

        config.pluginmanager.register(Parity(config), "roberta-parity-items")
