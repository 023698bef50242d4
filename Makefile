# Everything runs in the project's own .venv, which tools/bootstrap.py fills with nothing but Python 3.11
# or newer at hand. PYTHON=… names the interpreter to start from.
PYTHON ?= python3
VENV := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help up demo bench prove test check env docs clean lock venv

help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 8

up: venv ## Start everything on this machine; Ctrl-C stops it
	@exec $(VENV)/python -m carillon up

demo: venv ## Send 200 messages to made-up people and check each; COUNT=… and BROKER=… choose
	@exec $(VENV)/python -m carillon demo $(if $(COUNT),--count $(COUNT)) $(if $(BROKER),--broker $(BROKER))

bench: venv ## Measure it beside a pipeline of the usual kind, about ten minutes; ARGS=… as in carillon bench --help
	@exec $(VENV)/python -m carillon bench $(ARGS)

prove: venv ## Break everything, and see that nothing is lost or sent twice, a quarter of an hour; ARGS=… as in carillon prove --help
	@exec $(VENV)/python -m carillon prove $(ARGS)

test: venv ## Run all tests, with servers of their own
	@$(VENV)/python -m pytest -n 4

check: venv ## Check format, lint, types, import rules and architecture
	@$(VENV)/ruff format --check .
	@$(VENV)/ruff check .
	@$(VENV)/mypy
	@$(VENV)/lint-imports
	@$(VENV)/python -m pytest -q tests/architecture

env: venv ## Make .env and secrets/ for docker compose, where they are missing
	@$(VENV)/python -m carillon env

docs: venv ## Write the tables in docs/operations.md anew from the code
	@$(VENV)/python tools/operations.py

clean: ## Remove this installation's data and secrets, and caches
	@$(PYTHON) tools/clean.py

lock: venv ## Write requirements.lock anew from pyproject.toml
	@$(VENV)/uv pip compile --universal --generate-hashes --python-version 3.11 --group dev --extra embedded --no-header \
		--no-emit-index-url --no-emit-find-links --quiet pyproject.toml --output-file requirements.lock
	@sed -n '/^uv==/,/^    # via/p' requirements.lock > tools/uv.lock

venv:
	@$(PYTHON) tools/bootstrap.py
