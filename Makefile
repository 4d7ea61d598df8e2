# make demo        the core only: fill a mask, and prove that the engines agree with the spec
# make test        all engines, their peers, and the tools: lint, types, tests
# make test-clients  what other people's libraries do with a model or a tokenizer: Trainer, PEFT, Keras, NNX, …
# make test-numpy  the tests that need no framework, where none is installed; of the slow ones, none
# make test-flax   one engine's beside the spec's, where its framework is the only one; so test-numba, test-torch and
#                  test-tensorflow
# make site        the documentation in build/site, where the spec runs in the reader's browser; it needs npm, too
# make bench       the figures: what an import costs, the longest functions, agreement with transformers, the speed of
#                  models and of tokenizers
#
# Each has an environment of its own, made once and again when what it depends on changes. It needs Python 3.11 or
# later (make demo PYTHON=python3.12) and a package index.

PYTHON ?= python3
# So many processes run the tests, each whole files; each needs a core and some 3 GiB.
WORKERS ?= 2
PYTEST := python -m pytest --numprocesses $(WORKERS) --dist loadfile
SENTENCE := It is a truth universally acknowledged, that a single man in possession of a good fortune, \
must be in want of a <mask>.
ENGINES := numba torch tensorflow flax
comma := ,
SOURCES := $(filter-out tests/% examples/% benchmarks/% site/% build/%,$(wildcard *.py */*.py */*/*.py checkpoints/austen/*))

# $(call install,folder,what): an environment with exactly the pinned versions. Left-overs of an earlier build would
# find their way into the installed package.
define install
rm -rf build
$(PYTHON) -m venv $(1)
$(1)/bin/python -m pip install --quiet --constraint constraints.txt $(2)
touch $@
endef

.PHONY: demo test test-clients test-numpy test-numba test-torch test-tensorflow test-flax site bench clean

demo: .venv-demo/.stamp
	.venv-demo/bin/roberta fill-mask "$(SENTENCE)"
	.venv-demo/bin/roberta parity

test: .venv/.stamp
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/basedpyright --pythonpath .venv/bin/python
	.venv/bin/basedpyright --pythonpath .venv/bin/python --project tests/typing/engines.json
	.venv/bin/$(PYTEST)

test-clients: .venv/.stamp
	.venv/bin/$(PYTEST) tests/clients

test-numpy test-numba test-torch test-tensorflow test-flax: test-%: .venv-%/.stamp
	ROBERTA_TEST_BACKENDS=$* .venv-$*/bin/$(PYTEST) $(if $(filter numpy,$*),-m "not slow")

site: .venv-site/.stamp
	.venv-site/bin/python site/build.py

bench: .venv/.stamp
	.venv/bin/python benchmarks/house.py
	.venv/bin/python benchmarks/agreement.py
	.venv/bin/python benchmarks/speed.py
	.venv/bin/python benchmarks/tokenizer.py

clean:
	rm -rf .venv .venv-* build dist *.egg-info .pytest_cache .ruff_cache .hypothesis

.venv-demo/.stamp: pyproject.toml constraints.txt $(SOURCES)
	$(call install,.venv-demo,.)

.venv/.stamp: pyproject.toml constraints.txt
	$(call install,.venv,--editable ".[dev]")

.venv-site/.stamp: pyproject.toml constraints.txt
	$(call install,.venv-site,--editable ".[site]")

.venv-numpy/.stamp: pyproject.toml constraints.txt
	$(call install,.venv-numpy,--editable ".[test-core]")

$(ENGINES:%=.venv-%/.stamp): .venv-%/.stamp: pyproject.toml constraints.txt
	$(call install,.venv-$*,--editable ".[test-core$(comma)$*]")
