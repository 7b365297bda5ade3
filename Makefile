# Developers and CI run the same commands. Everything is installed into .venv.
PYTHON ?= python3
ifeq ($(OS),Windows_NT)
BIN := .venv/Scripts
else
BIN := .venv/bin
endif
PIP := $(BIN)/python scripts/run_pip.py --quiet
# Byte code is compiled at the first import.
INSTALL := $(PIP) install --no-deps --no-compile --require-hashes
# `make test TESTS=tests/unit/test_text.py` runs one file, without linters and coverage.
TESTS ?=
QUICK := tests/unit tests/integration tests/properties
# Use at most 8 workers: more take too long to start.
PYTEST := -m pytest --numprocesses auto --maxprocesses 8
# Twice the speed of a real scan.
SPEED ?= --speed 2 --interval 1s

.PHONY: help demo test test-random test-elsewhere test-ci lint unit format fuzz soak mutants bench image bundle dist lock golden docs clean

help:  ## Show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

demo: .venv/gate.stamp  ## Watch the gate with an embedded ThreadFix; SCENARIO=interrupted plays another scenario
	@$(BIN)/python -m gate demo $(SPEED) $(SCENARIO)

test: $(if $(TESTS),,lint) unit  ## Lint, check types, run the tests; TESTS=tests/unit/test_text.py runs one file

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

test-random: .venv/dev.stamp  ## Run the tests in a random order and with random examples
	$(BIN)/python $(PYTEST) --dist worksteal --shuffle random --hypothesis-profile random $(QUICK)

test-elsewhere:  ## Run test-random in a copy, as an ordinary user, with a minimal environment
	scripts/test_elsewhere.sh

test-ci: .venv/dev.stamp  ## Run the tests with real CI runners, browsers and images, if they are installed
	$(BIN)/python $(PYTEST) --dist loadscope tests/ci

format: .venv/dev.stamp  ## Format the code, and apply the linter's fixes
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

image:  ## Build the container image with docker, podman or buildah; BASE=... sets another base
	$(PYTHON) scripts/build_image.py build $(if $(BASE),--base $(BASE))

bundle: .venv/made.stamp  ## Build dist/threadfix-gate.pyz: the gate and its packages in one file for Python 3.10 or later
	$(BIN)/python scripts/bundle.py

dist: .venv/made.stamp  ## Build the sdist, and the wheel from it, in dist/
	$(INSTALL) --only-binary :all: -r requirements/build.lock
	rm -f dist/*.tar.gz dist/*.whl
	$(BIN)/python -m hatchling build --target sdist
	$(PIP) wheel --no-deps --no-build-isolation --wheel-dir dist dist/*.tar.gz

soak: .venv/dev.stamp  ## Run gates through faults, signals and full disks for ten minutes; SECONDS=60, and SEED=... to repeat
	$(BIN)/python -m proof.soak $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED))

mutants: .venv/dev.stamp  ## Change the code in small ways and count the changes that no test notices; ROOM=judge for one room
	@# The linters run without it, so it is not in dev.lock.
	$(INSTALL) --only-binary :all: -r requirements/mutants.lock
	$(BIN)/python -m proof.mutants $(ROOM)

bench: .venv/dev.stamp  ## Measure start-up, memory, requests, uploads and other scripts for docs/performance.md
	$(BIN)/python -m benchmarks.run
	$(BIN)/python -m benchmarks.beside
	$(BIN)/python -m benchmarks.upload
	$(BIN)/python -m benchmarks.action
	$(BIN)/python -m benchmarks.image

fuzz: .venv/dev.stamp  ## Give the gate random responses, files and texts; SECONDS=600, SEED=7, INPUTS=1000000, REPLAY=file
	$(BIN)/python -m proof.fuzz $(foreach option,SECONDS SEED INPUTS REPLAY,$(if $($(option)),--$(shell echo $(option) | tr A-Z a-z) $($(option))))

golden: .venv/dev.stamp  ## Write the golden files of the sandbox's scenarios and of --help again
	GOLDEN=write $(BIN)/python $(PYTEST) --dist worksteal tests/integration/test_golden.py
	for command in run doctor demo sandbox; do \
	  COLUMNS=100 $(BIN)/python -m gate $$command --help >tests/golden/help-$$command.txt || exit; \
	done

docs: .venv/dev.stamp  ## Update the generated parts of the documentation
	$(BIN)/python scripts/generate_tables.py
	$(BIN)/python scripts/generate_action.py
	$(BIN)/python scripts/generate_examples.py
	$(BIN)/python scripts/draw_demo.py

lock: .venv/dev.stamp  ## Update the lock files
	$(PIP) install uv
	$(BIN)/python scripts/lock.py

clean:  ## Remove .venv and all caches
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage*

.venv/made.stamp:
	@echo 'Making .venv with $(PYTHON) ...'
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or later is needed; name one with PYTHON=...")'
	@$(PYTHON) -m venv --without-pip .venv
	@touch $@

.venv/gate.stamp: .venv/made.stamp requirements/gate.lock
	@echo 'Installing what the gate needs into .venv ...'
	@$(INSTALL) --only-binary :all: -r requirements/gate.lock
	@touch $@

.venv/dev.stamp: .venv/gate.stamp requirements/dev.lock requirements/build.lock pyproject.toml
	@echo 'Installing the linters and what the tests need into .venv; this takes a quarter of a minute ...'
	@$(INSTALL) -r requirements/dev.lock
	@$(INSTALL) --only-binary :all: -r requirements/build.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@
