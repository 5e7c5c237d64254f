# Everything happens in .venv, with the exact versions of requirements.lock.
PYTHON ?= python3
PRESET ?= paper
BUDGET ?= 480
BIN := .venv/bin
READY := .venv/.ready

.PHONY: book gpu test lint bench clean

book: $(READY)
	$(BIN)/lrlib book

# Trains and measures for BUDGET minutes what the records of PRESET lack, then executes the pages one by one, each at
# PRESET if that is trained and fits, all of them in as many minutes again.
gpu: $(READY)
	nvidia-smi
	$(BIN)/lrlib reproduce --preset $(PRESET) --budget $(BUDGET) --device cuda --download
	$(BIN)/lrlib book --preset $(PRESET) --budget $(BUDGET)
	nvidia-smi

test: lint
	$(BIN)/pytest
	$(BIN)/lrlib book --fresh
	$(BIN)/pytest tests/browser

bench: $(READY)
	$(BIN)/lrlib run benchmarks -p preset paper -p measure true
	$(BIN)/python tests/browser/seconds.py

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $(READY)

clean:
	rm -rf _build book/*.ipynb
