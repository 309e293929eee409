# The only task runner. From a fresh clone it needs make (3.81 is enough) and Python 3.11 or later, nothing else.
# PYTHON=... names the interpreter that .venv is made with, ARGS=... is passed on to the command.

.DEFAULT_GOAL := help
.PHONY: help demo test check soak bench lock clean venv
SHELL := /bin/sh

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
UNFINISHED := $(VENV)/.unfinished
OLD_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PIP := -m pip --disable-pip-version-check --no-input
TEMPORAL := $(BIN)/python -m sandbox.temporal_binary

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-6s  %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "Options: PYTHON=python3.12 (for .venv, when it is made), ARGS=\"...\" (for the command)"

demo: venv ## the lock campaign from end to end, on servers of its own; its pages are left running
	@[ -n "$$TEMPORAL_ADDRESS" ] || $(TEMPORAL)
	@$(BIN)/drumbeat demo $(ARGS)

test: venv ## all tests
	@$(TEMPORAL)
	$(BIN)/pytest $(ARGS)

check: venv ## style, types, import rules, dead code, then all tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/lint-imports
	$(BIN)/vulture
	@$(MAKE) test

soak: venv ## the long tests: a million locks and the like, some minutes each
	@$(TEMPORAL)
	$(BIN)/pytest -m soak -s $(ARGS)

bench: venv ## our speed beside the bare engine's, in about 4 minutes; ARGS=--help lists the options
	@$(TEMPORAL)
	@$(BIN)/python -m benchmarks $(ARGS)

# Sets $$python, or explains and ends.
define CHOOSE_PYTHON
python=; for candidate in $${PYTHON:-python3.13 python3.12 python3.11 python3 python}; do \
  if $$candidate -c '$(OLD_ENOUGH)' 2>/dev/null; then python=$$candidate; break; fi; \
done; \
if [ -z "$$python" ]; then \
  echo "Drumbeat needs Python 3.11 or later. $${PYTHON:-python3} -V says: `$${PYTHON:-python3} -V 2>&1 | head -1`" >&2; \
  echo "Name another one like this: make PYTHON=/path/to/python3.12" >&2; \
  exit 1; \
fi
endef

# The stamp is the two files' checksum, so that a new date alone changes nothing. What was interrupted is made anew.
venv:
	@set -e; \
	wanted=`cat requirements.lock pyproject.toml | cksum`; \
	if [ "$$wanted" = "`cat $(INSTALLED) 2>/dev/null`" ] && $(BIN)/python -c '' 2>/dev/null; then exit 0; fi; \
	if [ -e $(UNFINISHED) ] || ! $(BIN)/python -c 'import pip; $(OLD_ENOUGH)' 2>/dev/null; then \
	  $(CHOOSE_PYTHON); \
	  echo "Making $(VENV) with `$$python -V` ..."; \
	  $$python -m venv --clear $(VENV) || { \
	    echo "Python's own 'venv' is missing; Debian and Ubuntu have it as: apt-get install python3-venv" >&2; exit 1; }; \
	fi; \
	: > $(UNFINISHED); \
	quiet=; [ -t 1 ] || quiet=--quiet; \
	echo "Installing `grep -c == requirements.lock` locked packages (about 2 minutes the first time) ..."; \
	$(BIN)/python $(PIP) install $$quiet --require-hashes -r requirements.lock; \
	echo "Installing Drumbeat itself ..."; \
	$(BIN)/python $(PIP) install --quiet --no-deps --no-build-isolation -e .; \
	echo "$$wanted" > $(INSTALLED); \
	rm -f $(UNFINISHED)

lock: ## the lock files from pyproject.toml; ARGS=--upgrade takes newer versions
	@set -e; \
	$(CHOOSE_PYTHON); \
	aside=`mktemp -d`; trap 'rm -rf "$$aside"' EXIT; trap 'exit 130' INT TERM; \
	echo "Installing uv aside ..."; \
	$$python -m venv "$$aside/venv"; "$$aside/venv/bin/python" $(PIP) install --quiet uv; \
	[ ! -e requirements.lock ] || cp requirements.lock "$$aside"; \
	compile="$$aside/venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes"; \
	compile="$$compile --no-emit-index-url --no-emit-find-links --no-annotate --no-header"; \
	all="$$aside/requirements.lock"; mkdir "$$aside/deploy"; \
	$$compile pyproject.toml --all-extras $(ARGS) -o "$$all"; \
	$$compile pyproject.toml --constraints "$$all" -o "$$aside/deploy/requirements.lock"; \
	echo setuptools | $$compile - --constraints "$$all" -o "$$aside/deploy/build.lock"; \
	for lock in requirements.lock deploy/requirements.lock deploy/build.lock; do \
	  if grep -n '://' "$$aside/$$lock"; then \
	    echo "These lines of $$lock name an address; a lock file must not." >&2; exit 1; fi; \
	  mv "$$aside/$$lock" "$$lock"; \
	  echo "$$lock: `grep -c == $$lock` packages."; \
	done

clean: ## all that make and the tools made, but not the data in .drumbeat
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
