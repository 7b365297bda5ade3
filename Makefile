# What a person types is what CI runs. Everything is installed into .venv; nothing else is touched.
PYTHON ?= python3
ifeq ($(OS),Windows_NT)
BIN := .venv/Scripts
else
BIN := .venv/bin
endif
PIP := $(BIN)/python scripts/run_pip.py --quiet
# Byte code is made of what is used, when it is used first.
INSTALL := $(PIP) install --no-deps --no-compile --require-hashes
# `make test TESTS=tests/unit/test_text.py` runs one file: without the linters, and nothing says how much it covers.
TESTS ?=
QUICK := tests/unit tests/integration tests/properties
# On every core, but for machines so large that starting the workers takes longest.
PYTEST := -m pytest --numprocesses auto --maxprocesses 8
# The demo plays its ten seconds in five.
SPEED ?= --speed 2 --interval 1s

.PHONY: help demo test test-random test-elsewhere test-ci lint unit format bench image bundle dist lock docs clean

help:  ## Show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

demo: .venv/gate.stamp  ## Watch the gate wait, against a ThreadFix of its own; SCENARIO=interrupted for another one
	@$(BIN)/python -m gate demo $(SPEED) $(SCENARIO)

test: $(if $(TESTS),,lint) unit  ## Lint, check types, run the tests; TESTS=tests/unit/test_text.py for one file

lint: .venv/dev.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python scripts/lint_ci.py

unit: .venv/dev.stamp
ifeq ($(TESTS),)
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run $(PYTEST) --dist worksteal $(QUICK)
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report
else
	$(BIN)/python $(PYTEST) --dist worksteal $(TESTS)
endif

test-random: .venv/dev.stamp  ## Run the tests once more, in another order and with other examples than ever before
	$(BIN)/python $(PYTEST) --dist worksteal --shuffle random --hypothesis-profile random $(QUICK)

test-elsewhere:  ## Run the tests in a copy, as an ordinary user, in a bare environment
	scripts/test_elsewhere.sh

test-ci: .venv/dev.stamp  ## Run the tests that drive real CI runners, browsers and images, as far as those are here
	$(BIN)/python $(PYTEST) --dist loadscope tests/ci

format: .venv/dev.stamp  ## Format the code, and mend what the linter can
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

image:  ## Build the container image with docker, podman or buildah, whichever is here; BASE=... builds on another base
	$(PYTHON) scripts/build_image.py build $(if $(BASE),--base $(BASE))

bundle: .venv/made.stamp  ## Build dist/threadfix-gate.pyz, the gate and its packages in one file for any Python 3.10 or later
	$(BIN)/python scripts/bundle.py

dist: .venv/made.stamp  ## Build the sdist, and from it the wheel, into dist/
	$(INSTALL) --only-binary :all: -r requirements-build.lock
	rm -f dist/*.tar.gz dist/*.whl
	$(BIN)/python -m hatchling build --target sdist
	$(PIP) wheel --no-deps --no-build-isolation --wheel-dir dist dist/*.tar.gz

bench: .venv/dev.stamp  ## Measure start-up, memory, requests and uploads (the figures of docs/performance.md)
	$(BIN)/python benchmarks/run.py
	$(BIN)/python benchmarks/upload.py
	$(BIN)/python benchmarks/action.py
	$(BIN)/python benchmarks/image.py

docs: .venv/dev.stamp  ## Write again what the documentation takes from the code
	$(BIN)/python scripts/generate_tables.py
	$(BIN)/python scripts/generate_action.py
	$(BIN)/python scripts/generate_examples.py
	$(BIN)/python scripts/draw_demo.py

lock: .venv/dev.stamp  ## Resolve the dependencies anew
	$(PIP) install uv
	$(BIN)/python scripts/lock.py

clean:  ## Remove what was installed here
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage*

.venv/made.stamp:
	@echo 'Making .venv with $(PYTHON) ...'
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or later is needed; name one with PYTHON=...")'
	@$(PYTHON) -m venv --without-pip .venv
	@touch $@

.venv/gate.stamp: .venv/made.stamp requirements.lock
	@echo 'Installing what the gate needs into .venv ...'
	@$(INSTALL) --only-binary :all: -r requirements.lock
	@touch $@

.venv/dev.stamp: .venv/gate.stamp requirements-dev.lock requirements-build.lock pyproject.toml
	@echo 'Installing the linters and what the tests need into .venv; this takes a quarter of a minute ...'
	@$(INSTALL) -r requirements-dev.lock
	@$(INSTALL) --only-binary :all: -r requirements-build.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@
