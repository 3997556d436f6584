# `make demo` and `make test` set everything up themselves: they create $(VENV) and install the project into it.
PYTHON ?= python3
VENV ?= .venv
PYTEST_WORKERS ?= 2

BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Layers and the streaming metrics promise to work on Keras 3 too, and so do their examples and the README's model; these
# tests are of functions that know no Keras.
WITHOUT_KERAS := contrastive_loss crp
KERAS3_TESTS := $(filter-out $(WITHOUT_KERAS:%=tests/layers/test_%.py),$(wildcard tests/layers/test_*.py)) \
	tests/metrics/test_streaming.py tests/test_examples.py tests/test_readme.py

.PHONY: help install demo test lint golden clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    generate logs, train LCN-200-50 on them, measure, export, verify (into runs/demo)"
	@echo "make test    lint, then the whole test suite on both versions of Keras"
	@echo "make lint    ruff and mypy"
	@echo "make golden  compute the golden numbers of the tests again; say in the commit why they changed"
	@echo "make clean   remove caches, build artefacts and runs/demo"

# Without build isolation setuptools and wheel come from constraints.txt too, and the packaging test can build offline.
$(STAMP): setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt setuptools wheel
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-build-isolation -e '.[dev]'
	@touch $@

install: $(STAMP)

demo: $(STAMP)
	$(BIN)/python -m experiments.run --flagfile=lcn_200_50.cfg --train.deterministic=true --workdir=runs/demo

# The run on Keras 3 comes first, so that the last line is the summary of the whole suite.
test: lint
	TF_USE_LEGACY_KERAS=0 $(BIN)/python -m pytest -q -n $(PYTEST_WORKERS) $(KERAS3_TESTS)
	TF_USE_LEGACY_KERAS=1 $(BIN)/python -m pytest -n $(PYTEST_WORKERS)

lint: $(STAMP)
	$(BIN)/python -m ruff check .
	$(BIN)/python -m mypy

golden: $(STAMP)
	$(BIN)/python -m tests.make_golden

clean:
	rm -rf build dist runs/demo .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	find lcn_tf command_line experiments data_prep tests -name __pycache__ -type d -prune -exec rm -rf {} +
