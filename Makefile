# What people and CI run. `make help` explains itself; PYTHON=… chooses the interpreter.
# Every target first brings .venv and the compiled contract up to date, quietly.
.DEFAULT_GOAL := help
.NOTPARALLEL:
export PYTHON

bin := .venv/bin
python := $(bin)/python
# What `make protos-breaking` compares the contract with.
AGAINST ?= main
# Two processes of tests, a file each: they mostly wait, for servers of their own.
parallel := -n 2 --dist loadfile
# Passed on to pytest: make test ARGS="-k watch -x"
ARGS ?=

.PHONY: help setup protos protos-breaking lint format test test-full chaos bench run clean

help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' Makefile

setup: ## Make .venv, install the locked dependencies, compile the contract
	@sh scripts/bootstrap.sh

protos: setup ## Compile the contract into build/gen (done by every target)

protos-breaking: setup ## Refuse changes of the contract that break clients (AGAINST=main)
	$(python) -m scripts.buflint --against $(AGAINST)

lint: setup ## Check style, types, import rules and the contract
	$(bin)/ruff check
	$(bin)/ruff format --check
	$(bin)/mypy
	$(bin)/lint-imports
	$(python) -m scripts.buflint
	$(python) -m scripts.contract

format: setup ## Format the code and mend what can be mended without thought
	$(bin)/ruff format
	$(bin)/ruff check --fix

test: setup ## Run the tests, all but the slow ones
	@exec $(python) -m pytest $(parallel) -m "not slow and not chaos" $(ARGS)

test-full: setup ## Run all tests but the chaos ones
	@exec $(python) -m pytest $(parallel) -m "not chaos" $(ARGS)

chaos: setup ## Kill every kind of process at random instants and count what is lost
	@exec $(python) -m pytest -m chaos -s $(ARGS)

bench: setup ## Measure; prints figures of this machine, asserts nothing
	@exec $(python) -m tests.load $(ARGS)

run: setup ## Start everything and play the demo; Ctrl-C drains and stops
	@exec $(bin)/palestra demo

clean: setup ## Stop this checkout's stack; remove what was generated, and its state
	$(bin)/palestra down
	rm -rf .palestra build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	rm -rf .import_linter_cache .venv *.egg-info
