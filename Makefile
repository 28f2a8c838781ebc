# Everything starts here, from a bare checkout: each target makes the virtual environment first if it is missing or stale.
# KOPECK_* variables of the environment reach every target.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test check bench load soak format lock clean lint types

BIN := .venv/bin
INSTALLED := .venv/.installed
# No server and no cluster is needed for these; what takes over a second is marked slow.
FAST_TESTS := $(wildcard tests/architecture tests/engine tests/actors tests/gateways tests/intake tests/reports tests/cli)

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' Makefile

demo: $(INSTALLED) ## Bring up the whole thing and send it traffic (FOR=30s to stop by itself)
	$(BIN)/kopeck demo $(if $(FOR),--for "$(FOR)")

test: lint types ## Lint, types and every test but the soak
	$(BIN)/pytest -q

check: lint types ## Lint, types and the fast tests: under a minute
	$(BIN)/pytest -q -m "not slow and not soak and not bench" $(FAST_TESTS)

bench: $(INSTALLED) ## Measure speed against the yardsticks
	$(BIN)/kopeck bench

load: $(INSTALLED) ## Load test by locust, headless, with a report
	$(BIN)/python -m loadtests

soak: $(INSTALLED) ## Simulation and fuzz for hours, seed after seed
	$(BIN)/pytest -q -m soak

format: $(INSTALLED) ## Put the code into the house's form
	$(BIN)/ruff check -q --fix-only .
	$(BIN)/ruff format .

lock: ## Resolve pyproject.toml again into requirements.lock (needs uv)
	uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes --no-annotate \
	    --upgrade --quiet --custom-compile-command "make lock" --output-file requirements.lock

clean: ## Remove caches and build leftovers (not .venv, not the data under KOPECK_HOME)
	rm -rf build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(INSTALLED)
	$(BIN)/mypy

$(INSTALLED): requirements.lock pyproject.toml
	@.ci/install
