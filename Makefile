# Everything a developer or a curious user runs. Each target sets up what it needs, the virtual environment included.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := postbeat workers beat_schedule tests benchmarks docs
ARGS ?=
PYTEST_ARGS ?=
# What measures no times; all other tests do, and have the machine to themselves. What is slow begins first, so that no
# process is left with it alone.
SIDE_BY_SIDE := $(foreach name,outcomes independent_clients round_trips transport_security matrix messages bounces \
	negative no_secrets logins,tests/e2e/test_$(name).py) \
	$(addprefix tests/,benchmarks web ism cli deploy dns embedded docs redis sinks beat unit wire)
# Where tests failed (status 1), and AGAIN has options, pytest is run once more with these, too.
AGAIN ?=
pytest = $(BIN)/pytest $(1) || { test $$? = 1 && test -n "$(AGAIN)" && $(BIN)/pytest $(1) $(AGAIN); }

.DEFAULT_GOAL := help
.PHONY: help install demo test check format format-check lint types imports fuzz bench docs wheel clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/.dev  ## Make .venv with all that development needs, at the locked versions

demo: $(VENV)/.demo  ## Run the demo; ARGS="--once --json" passes options
	@$(BIN)/postbeat demo $(ARGS)

test: $(VENV)/.dev  ## Run all tests; those of real servers skip where the servers are not installed
ifdef PYTEST_ARGS
	$(BIN)/pytest $(PYTEST_ARGS)
else
	$(call pytest,--numprocesses auto --dist loadfile --no-loadscope-reorder $(SIDE_BY_SIDE))
	$(call pytest,$(addprefix --ignore=,$(SIDE_BY_SIDE)))
endif

check: format-check lint types imports test  ## Run all that CI checks, but for the wheel

format: $(VENV)/.dev  ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

format-check: $(VENV)/.dev
	$(BIN)/ruff format --check .

lint: $(VENV)/.dev  ## Check style
	$(BIN)/ruff check .

types: $(VENV)/.dev  ## Check types
	$(BIN)/mypy

imports: $(VENV)/.dev  ## Check that imports keep to the layers
	$(BIN)/lint-imports

fuzz: $(VENV)/.fuzz  ## Fuzz what parses; ARGS="--seconds 300" fuzzes each target for five minutes
	$(BIN)/python -m tests.fuzz all $(ARGS)

bench: $(VENV)/.dev  ## Run the benchmarks
	$(BIN)/python -m benchmarks.worker
	$(BIN)/python -m benchmarks.beat
	$(BIN)/python -m benchmarks.smtp
	$(BIN)/python -m benchmarks.mailbox
	$(BIN)/python -m benchmarks.capture
	$(BIN)/python -m benchmarks.memory
	$(BIN)/python -m benchmarks.store
	$(BIN)/python -m benchmarks.rules

docs: $(VENV)/.dev  ## Make the generated parts of the documents anew
	$(BIN)/python -m docs.generate

wheel: $(VENV)/.dev  ## Build the wheel into dist/ and check what is in it
	rm -rf build dist
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist .
	$(BIN)/python -m tests.wheel dist/*.whl

clean:  ## Remove what these targets made
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Postbeat needs Python 3.11 or later; name one: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# Exactly the locked versions, then the project itself on top, editable.
$(VENV)/.demo: $(VENV)/bin/python requirements.lock pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

$(VENV)/.dev: $(VENV)/bin/python requirements-dev.lock pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@ $(VENV)/.demo

# Apart from the rest, as there are wheels of it for Linux only.
$(VENV)/.fuzz: $(VENV)/.dev requirements-fuzz.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-fuzz.lock
	@touch $@
