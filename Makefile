# Everything runs in the project's own .venv, which tools/bootstrap.py fills with nothing but Python 3.11
# or newer at hand. PYTHON=… names the interpreter to start from.
PYTHON ?= python3
VENV := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help up test check clean lock venv

help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 8

up: venv ## Start everything on this machine; Ctrl-C stops it
	@exec $(VENV)/python -m carillon up

test: venv ## Run all tests, with servers of their own
	@$(VENV)/python -m pytest

check: venv ## Check format, lint, types, import rules and architecture
	@$(VENV)/ruff format --check .
	@$(VENV)/ruff check .
	@$(VENV)/mypy
	@$(VENV)/lint-imports
	@$(VENV)/python -m pytest -q tests/architecture

clean: ## Remove this installation's data and secrets, and caches
	@$(PYTHON) tools/clean.py

lock: venv ## Write requirements.lock anew from pyproject.toml
	@$(VENV)/uv pip compile --universal --generate-hashes --python-version 3.11 --group dev --no-header \
		--no-emit-index-url --no-emit-find-links --quiet pyproject.toml --output-file requirements.lock
	@sed -n '/^uv==/,/^    # via/p' requirements.lock > tools/uv.lock

venv:
	@$(PYTHON) tools/bootstrap.py
