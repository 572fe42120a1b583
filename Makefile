# Every target sets up by itself what it needs; the environment is in .venv.
SHELL := /bin/sh
BIN := .venv/bin
READY := .venv/.ready
DATA_DIR ?= .convergence
UV_COMPILE := $(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links \
	--no-strip-extras --custom-compile-command "make lock" --extra dev --python-version 3.13 pyproject.toml

.DEFAULT_GOAL := help
.PHONY: help setup run demo down test coverage check format lock clean

help:  ## show what there is
	@sed -n 's/^\([a-z]*\):.*##/\1\t/p' Makefile | expand -t 10

setup: $(READY)  ## make the environment in .venv

# The stamp is written last, so an installation that was cut short starts again.
$(READY): requirements.lock pyproject.toml
	@python=$$(scripts/find_python.sh) && { [ -x $(BIN)/python ] || "$$python" -m venv .venv; }
	@[ -x $(BIN)/uv ] || $(BIN)/python -m pip install --quiet "$$(sed -n 's/^\(uv==[^ ]*\).*/\1/p' requirements.lock)"
	$(BIN)/uv pip sync --quiet --require-hashes --compile-bytecode requirements.lock
	$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $(READY)

run: $(READY)  ## start the whole platform and stay with it; Ctrl-C stops it
	$(BIN)/convergence up --data-dir "$(DATA_DIR)"

demo: $(READY)  ## the whole story against a fresh data directory
	$(BIN)/convergence demo

down:  ## stop what `make run` or `convergence up --detach` started
	@[ ! -x $(BIN)/convergence ] || $(BIN)/convergence down --data-dir "$(DATA_DIR)"

test: $(READY)  ## every test
	$(BIN)/python -m pytest -n 2

# Measuring costs half as much processor time again, in the emulators too.
coverage: $(READY)  ## every test, with branch coverage
	$(BIN)/python -m pytest -n 2 --cov --cov-report=term

check: $(READY)  ## ruff, mypy, import contracts, the lock
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	@cp requirements.lock .venv/requirements.lock && $(UV_COMPILE) --output-file .venv/requirements.lock \
		&& cmp -s requirements.lock .venv/requirements.lock \
		|| { echo "requirements.lock does not fit pyproject.toml: run 'make lock'." >&2; exit 1; }

format: $(READY)  ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock:  ## write requirements.lock anew after pyproject.toml changed
	@[ -x $(BIN)/uv ] || $(MAKE) setup
	$(UV_COMPILE) --output-file requirements.lock

clean: down  ## remove the environment and the caches; .convergence is kept
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage* htmlcov dist
