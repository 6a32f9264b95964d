# What can be done here. `make` alone prints this list; every target sets up .venv first when it has to.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
BIN := .venv/bin
ARGS ?=
# a library of PyOD's wants a folder of its own: in here, not in somebody's home
export MPLCONFIGDIR := $(CURDIR)/.run/matplotlib

.PHONY: help
help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## .venv from requirements-dev.lock, hashes checked; returns at once when nothing changed
	@tools/setup

.PHONY: quickstart
quickstart: setup ## a real Kafka, a simulated exchange, the daemon; prints the first incident, explained
	@$(BIN)/python -m tools.quickstart $(ARGS)

.PHONY: test
test: setup ## every test, those against a real Kafka too; ARGS="-k name" for some
	@mkdir -p .run/tmp
	TMPDIR=$(CURDIR)/.run/tmp $(BIN)/python -m pytest $(ARGS)

.PHONY: check
check: setup ## what CI runs first: format, lint, types, layers, house rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/house

.PHONY: format
format: setup ## let the formatter and the safe fixes have their way
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: demo
demo: setup ## without Kafka: a simulated exchange and the engine in one process, incidents printed and judged
	$(BIN)/foreshock demo $(ARGS)


.PHONY: replay-example
replay-example: setup ## a synthetic capture through `foreshock replay`, judged against its labels, with a report
	@mkdir -p .run
	$(BIN)/python -m replay.exchange --scenario demo --out .run/example.ndjson.zst --labels .run/example-labels.json
	$(BIN)/foreshock replay .run/example.ndjson.zst --labels .run/example-labels.json --report .run/example.html $(ARGS)

.PHONY: bench
bench: setup ## how fast: events per second, by stage
	$(BIN)/python -m bench $(ARGS)

.PHONY: guard
guard: setup ## what CI runs last: an event may not cost a fifth more than bench/guard.json says; ARGS=--bless
	$(BIN)/python -m bench guard $(ARGS)

.PHONY: bless
bless: setup ## write the golden files anew; then read the diff like code
	FORESHOCK_BLESS=1 $(BIN)/python -m pytest tests/golden $(ARGS)

.PHONY: config
config: setup ## write config/foreshock.toml and its schema from detector/wiring/settings.py
	$(BIN)/foreshock config template >config/foreshock.toml
	$(BIN)/foreshock config schema >config/schema/foreshock.schema.json

.PHONY: lock
lock: ## resolve pyproject.toml into the lock files; ARGS=--upgrade for the newest versions allowed
	@tools/lock $(ARGS)

.PHONY: clean
clean: ## remove what can be made again: caches, .run, dist; `rm -rf .venv .tools` for the rest
	rm -rf .run dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find detector replay tests tools bench -name __pycache__ -type d -prune -exec rm -rf {} +
