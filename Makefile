# What people and CI run. `make help` explains itself; PYTHON=… chooses the interpreter.
# Every target first brings .venv and the compiled contract up to date, quietly.
.DEFAULT_GOAL := help
.NOTPARALLEL:
export PYTHON

bin := .venv/bin
python := $(bin)/python
# What `make protos-breaking` compares the contract with.
AGAINST ?= main
# Two processes of tests, a file each: they mostly wait, for servers of their own. In the order
# of the files, for the last are small: by the number of tests, the longest would come last.
parallel := -n 2 --dist loadfile --no-loadscope-reorder
# Whoever adds a slow test sees it.
slowest := --durations 20 --durations-min 5
# What `make bench-compare` compares.
A ?= main
B ?= HEAD
# Passed on to pytest: make test ARGS="-k watch -x"
ARGS ?=

.PHONY: help setup protos protos-breaking openapi-lint fuzz-api lint format test test-slow test-full polyglot chaos bench bench-compare bench-tokens run clean

help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' Makefile

setup: ## Make .venv, install the locked dependencies, compile the contract
	@sh scripts/bootstrap.sh

protos: setup ## Compile the contract into build/gen (done by every target)

protos-breaking: setup ## Refuse changes of the contract that break clients (AGAINST=main)
	$(python) -m scripts.buflint --against $(AGAINST)

openapi-lint: setup ## Lint the OpenAPI document with Spectral and Redocly (needs npx)
	$(python) -m scripts.openapi_lint

fuzz-api: setup ## Let schemathesis look for faults at the edge for longer (FUZZ_EXAMPLES, FUZZ_SEED)
	@FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-400} FUZZ_SEED=$${FUZZ_SEED:-$$(date +%s)} \
		$(python) -m pytest tests/system/end_to_end/test_api_fuzz.py -s $(ARGS)

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
	@exec $(python) -m pytest $(parallel) -m "not slow and not chaos" $(slowest) $(ARGS)

test-slow: setup ## Run the slow tests; those that load the machine or look at the clock one at a time
	@$(python) -m pytest $(parallel) -m "slow and not alone and not chaos" $(slowest) $(ARGS)
	@exec $(python) -m pytest -m "slow and alone and not chaos" $(slowest) $(ARGS)

test-full: test test-slow ## Run all tests but the chaos ones

polyglot: setup ## Generate clients in Go, Java and TypeScript; they do one scenario at the edge
	@exec $(python) -m pytest tests/polyglot $(ARGS)

chaos: setup ## Kill every kind of process at random instants and count what is lost
	@exec $(python) -m pytest -m chaos -s $(ARGS)

bench: setup ## Measure and draw: build/bench; asserts nothing (ARGS="--only get --rounds 5")
	@exec $(python) -m tests.load $(ARGS)

bench-compare: setup ## Measure two commits in turn: make bench-compare A=main~5 B=HEAD
	@exec $(python) -m tests.load.compare $(A) $(B) $(ARGS)

bench-tokens: setup ## Measure what verifying an access token costs at the edge and in a service
	@exec $(python) -m tests.load.verification

run: setup ## Start everything and play the demo; Ctrl-C drains and stops
	@exec $(bin)/palestra demo

clean: setup ## Stop this checkout's stack; remove what was generated, and its state
	$(bin)/palestra down
	rm -rf .palestra build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	rm -rf .import_linter_cache .venv *.egg-info
