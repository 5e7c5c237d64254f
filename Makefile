# Everything happens in .venv, with the exact versions of requirements.lock.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: book test lint bench clean

book: $(READY)
	$(BIN)/lrlib book

test: lint
	$(BIN)/pytest
	$(BIN)/lrlib book --fresh

bench: $(READY)
	$(BIN)/lrlib run benchmarks -p preset paper -p measure true

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
