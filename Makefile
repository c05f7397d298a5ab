# One-word verbs; `make help` lists them. Everything runs from .venv, which `make setup` makes.

BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
PROTOS := $(wildcard proto/covey/v1/*.proto)
# pytest refuses a folder that is not there, and git keeps no empty ones.
tests = $(wildcard $(addprefix tests/,$(1)))

.NOTPARALLEL:
.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench campaign sim proto docs clean lock gates python

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-7s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup:  ## install what is missing: system packages (as root) and .venv
	@deploy/setup.sh

python:
	@deploy/setup.sh --python

demo: setup  ## a cluster of three nodes on this machine, with services on it (as root)
	@$(BIN)/python -m devcluster.demo

test: root setup gates  ## everything: gates and all tests, with real containers (as root)
	@$(PYTEST) -p tests.support.sharing -n 2 $(call tests,shape unit properties scenarios sim integration e2e)

.PHONY: root
root:
	@test "$$(id -u)" = 0 || { echo "make test needs root: it makes namespaces and containers. Without root: make check" >&2; exit 1; }

check: python gates  ## gates and the tests that need no root
	@$(PYTEST) -m "not root" $(call tests,shape unit properties scenarios)

gates:
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/basedpyright
	@$(BIN)/lint-imports --no-logo

bench: setup  ## the figures, with their parts (as root)
	@$(PYTEST) -s $(call tests,bench)

campaign: setup  ## kills and faults at random, for a long time (as root); COVEY_E2E_SEED=n repeats one
	@COVEY_E2E_LONG=1 $(PYTEST) -s tests/e2e/test_kills.py tests/e2e/test_campaign.py tests/e2e/test_histories.py \
		tests/e2e/test_requests_in_hard_cases.py tests/e2e/test_churn.py

sim: python  ## tens of thousands of simulated runs; COVEY_SIM_RUNS=n COVEY_SIM_FIRST=seed
	@$(BIN)/python -m tests.sim --many $${COVEY_SIM_RUNS:-30000} $${COVEY_SIM_FIRST:-1}

proto: python  ## generate covey/v1 from proto/covey/v1
	@$(BIN)/python -m grpc_tools.protoc -Iproto --python_out=. --pyi_out=. $(PROTOS)

docs: python  ## regenerate the reference pages
	@$(BIN)/python docs/reference/generate.py

clean:  ## remove this checkout's dev clusters and test leftovers; .venv stays
	@$$(test -x $(BIN)/python && echo $(BIN)/python || echo python3) -m devcluster.sweep
	@! test -x $(BIN)/python || $(BIN)/python -m tests.support.leftovers
	@rm -rf build dist .hypothesis .mypy_cache .ruff_cache .import_linter_cache .grimp_cache
	@find . -path ./.venv -prune -o -name __pycache__ -type d -print0 | xargs -0 rm -rf

lock: python  ## resolve the dependencies anew into requirements.lock
	@$(BIN)/uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" --quiet -o requirements.lock
