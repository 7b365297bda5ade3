# What a person types is what CI runs. Everything is installed into .venv; nothing else is touched.
PYTHON ?= python3
ifeq ($(OS),Windows_NT)
BIN := .venv/Scripts
else
BIN := .venv/bin
endif
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: help demo test lint unit bench image dist lock docs clean

help:  ## Show this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

demo: .venv/gate.stamp  ## Watch the gate wait, against a ThreadFix of its own; SCENARIO=interrupted for another one
	@$(BIN)/threadfix-gate demo $(SCENARIO)

test: lint unit  ## Lint, check types, run every test

lint: .venv/dev.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python scripts/lint_ci.py

unit: .venv/dev.stamp
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run -m pytest
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report

image:  ## Build the container image with docker, podman or buildah, whichever is here
	$(PYTHON) scripts/image.py build

dist: .venv/gate.stamp  ## Build the sdist, and from it the wheel, into dist/
	$(PIP) install --no-deps --require-hashes --only-binary :all: -r requirements-build.lock
	rm -rf dist
	$(BIN)/python -m hatchling build --target sdist
	$(PIP) wheel --no-deps --no-build-isolation --wheel-dir dist dist/*.tar.gz

bench: .venv/dev.stamp  ## Measure start-up, memory and requests (the figures of the README)
	$(BIN)/python benchmarks/run.py
	$(BIN)/python benchmarks/action.py
	$(BIN)/python benchmarks/image.py

docs: .venv/dev.stamp  ## Write again what the documentation takes from the code
	$(BIN)/python scripts/tables.py
	$(BIN)/python scripts/action.py
	$(BIN)/python scripts/examples.py
	$(BIN)/python scripts/picture.py

lock: .venv/dev.stamp  ## Resolve the dependencies anew
	$(PIP) install uv
	$(BIN)/python scripts/lock.py

clean:  ## Remove what was installed here
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage*

.venv/made.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed; name one with PYTHON=…")'
	@$(PYTHON) -m venv .venv
	@$(PIP) install --upgrade pip
	@touch $@

.venv/gate.stamp: .venv/made.stamp requirements.lock pyproject.toml
	@$(PIP) install --no-deps --require-hashes --only-binary :all: -r requirements.lock
	@$(PIP) install --no-deps --editable .
	@touch $@

.venv/dev.stamp: .venv/gate.stamp requirements-dev.lock
	@$(PIP) install --no-deps --require-hashes -r requirements-dev.lock
	@touch $@
