"""Tokenizers for the tests: ours and the peers on the real vocabulary, and a tiny one that needs neither."""

import logging
import os
import warnings
from pathlib import Path

import pytest
from roberta.tokenizer import RobertaTokenizer

ROOT = Path(__file__).resolve().parents[2]


def pytest_make_parametrize_id(val):
    """Show texts in test ids as Python would write them, so that spaces and control characters can be told apart."""
    return ascii(val[:40]) if isinstance(val, str) else None


@pytest.fixture(scope="session")
def real_folder():
    folder = Path(os.environ.get("ROBERTA_TOKENIZER_DIR", ROOT.parent / "shared" / "roberta-base-tokenizer"))
    if not (folder / "vocab.json").is_file():
        pytest.skip(f"roberta-base's vocab.json and merges.txt are not at {folder}; set ROBERTA_TOKENIZER_DIR")
    return folder


@pytest.fixture(scope="session")
def novels():
    folder = ROOT.parent / "shared" / "corpus" / "austen"
    if not folder.is_dir():
        pytest.skip(f"the novels are not at {folder}")
    return folder


@pytest.fixture(scope="session")
def ours(real_folder):
    return RobertaTokenizer.from_pretrained(real_folder)


@pytest.fixture(scope="session")
def ours_prefixed(real_folder):
    return RobertaTokenizer.from_pretrained(real_folder, add_prefix_space=True)


@pytest.fixture(scope="session")
def transformers():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = pytest.importorskip("transformers", reason="the peer, transformers, is not installed")
    logging.getLogger("transformers").setLevel(logging.CRITICAL)
    return module


@pytest.fixture(scope="session")
def fast(transformers, real_folder):
    return transformers.RobertaTokenizerFast.from_pretrained(real_folder)


@pytest.fixture(scope="session")
def fast_prefixed(transformers, real_folder):
    return transformers.RobertaTokenizerFast.from_pretrained(real_folder, add_prefix_space=True)


@pytest.fixture(scope="session")
def slow(transformers, real_folder):
    return transformers.RobertaTokenizer.from_pretrained(real_folder)


@pytest.fixture(scope="session")
def tiny():
    """Byte-level, 256 bytes, a few merges: what tests can use that need no real vocabulary."""
    return RobertaTokenizer.train(["the cat sat on the mat, the cat sat"] * 2, vocab_size=280)


@pytest.fixture(scope="session")
def tiny_fast(transformers, tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    tiny.save_vocabulary(folder)
    return transformers.RobertaTokenizerFast.from_pretrained(folder)
