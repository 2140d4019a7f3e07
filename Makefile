# Every target makes .venv first if it is absent or out of date; nothing outside the checkout is touched.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.set-up
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11; do \
	$$name -c '$(SUITS)' 2>/dev/null && { echo $$name; break; }; done)
SUITS := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))

# What make coverage runs: all tests, or those named.
TESTS ?= tests

# Compiled now, or the first import of everything would pay for it.
export UV_COMPILE_BYTECODE := 1
# The machine's certificates, as pip uses them: behind a proxy only they are right.
export UV_SYSTEM_CERTS ?= 1
# A virtual environment that happens to be active is not the one meant here.
unexport VIRTUAL_ENV

.PHONY: help setup studies check test test-all test-browser coverage lint format docs readme cells mutants clean
.DELETE_ON_ERROR:

help:
	@echo "make setup         make .venv with everything in it (downloads 3.3 GB, once; 7.3 GB on disk)"
	@echo "make studies       run all studies at the preset quick; results in results/"
	@echo "make check         check style and types, then run the quick tests of what has changed: for the edit loop"
	@echo "make test          check style and types, then run the tests, of the longest kinds an example each"
	@echo "make test-all      the same with all of them"
	@echo "make test-browser  run the tests in a browser: Chromium or Chrome has to be installed"
	@echo "make coverage      run the tests with coverage and print which lines none of them reaches"
	@echo "make lint          check style and types only"
	@echo "make format        put the sources into the project's style"
	@echo "make docs          build the documentation in docs/_build; warnings are errors"
	@echo "make readme        write what the studies in results/ have found into README.md"
	@echo "make cells         write the cell of parameters of every notebook from what the studies declare"
	@echo "make mutants       show that the tests notice small mistakes in the losses"
	@echo "make clean         remove caches and .venv; results stay"

setup: $(STAMP)

$(STAMP): pyproject.toml requirements.lock requirements-uv.lock
	@test -n "$(PYTHON)" || { echo "make setup: needs Python 3.11, 3.12 or 3.13; name one with: make setup PYTHON=/path/to/python" >&2; exit 1; }
	@$(BIN)/python -c '$(SUITS)' 2>/dev/null || { echo "==> making $(VENV) with $(PYTHON)"; $(PYTHON) -m venv --clear $(VENV); }
	@echo "==> installing uv into $(VENV)"
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip --upgrade >/dev/null
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.lock
	@echo "==> installing the packages of requirements.lock (a download of 3.3 GB the first time, most of it torch)"
	@$(BIN)/uv pip install --python $(BIN)/python --require-hashes -r requirements.lock
	@echo "==> installing mlcl-studies, editable"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@
	@echo "==> $(VENV) is ready"

studies: setup
	@echo "==> running all studies at the preset quick"
	@$(BIN)/mlcl run --preset quick

lint: setup
	@echo "==> style"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@echo "==> types"
	@$(BIN)/mypy

# In the order of tests/conftest.py: the longest files first.
PYTEST := $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

test: lint
	@echo "==> tests"
	@$(PYTEST) -m "not browser and not long"

test-all: lint
	@echo "==> all tests"
	@$(PYTEST) -m "not browser"

# For the edit loop: style, types of the package, and the tests that are named like what has changed.
check: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python -m tests.changed | xargs --no-run-if-empty $(BIN)/pytest -q -x -m "not browser and not slow"

test-browser: setup
	@echo "==> tests in a browser"
	@$(BIN)/pytest -m browser tests/browser

# What is covered in kernels, workers and commands counts too: coverage starts in every process of ours.
coverage: setup
	@echo "==> coverage of $(TESTS)"
	@$(PYTEST) -m "not browser" --cov --cov-report=term-missing:skip-covered $(TESTS)

format: setup
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

docs: setup
	@echo "==> docs/_build/index.html"
	@rm -rf docs/_build
	@$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build

readme: setup
	@$(BIN)/python docs/readme.py

cells: setup
	@$(BIN)/python -m mlcl_utils.studies.cells

mutants: setup
	@$(BIN)/python tests/losses/mutants.py

clean:
	rm -rf $(VENV) docs/_build docs/_generated .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
