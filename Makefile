# Every target sets up by itself what it needs; the environment is in .venv.
SHELL := /bin/sh
BIN := .venv/bin
READY := .venv/.ready
DATA_DIR ?= .convergence
LOCKS := requirements.lock deploy/locks/api.lock deploy/locks/dagster.lock deploy/locks/build.lock

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

check: $(READY)  ## ruff, mypy, import contracts, the locks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	@mkdir -p .venv/locked/deploy/locks && for lock in $(LOCKS); do cp $$lock .venv/locked/$$lock || exit 1; done
	@scripts/write_locks.sh .venv/locked && for lock in $(LOCKS); do cmp -s $$lock .venv/locked/$$lock \
		|| { echo "$$lock does not fit pyproject.toml: run 'make lock'." >&2; exit 1; }; done

format: $(READY)  ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock:  ## write requirements.lock and the images' locks anew after pyproject.toml changed
	@[ -x $(BIN)/uv ] || $(MAKE) setup
	scripts/write_locks.sh

clean: down  ## remove the environment and the caches; .convergence is kept
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage* htmlcov dist
