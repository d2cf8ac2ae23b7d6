# make run [ARGS="…"]   set everything up and start the server (default: port 12345)
# make test             set everything up and run every check and test
# make bench            compare with a C reference and with other programs; writes bench/out/
# make fuzz             give the parsers mutated inputs, 60 s each; FUZZ_S=5 makes that 5 s
# make docs             make option tables, man pages and completions from the settings, and the site in build/docs/
# make screenshots      take the pictures of the page for docs/ (needs Chromium)
# make constraints      pin the newest versions of all dependencies

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
export PIP_DISABLE_PIP_VERSION_CHECK = 1
export PIP_CONSTRAINT = $(CURDIR)/constraints.txt

.PHONY: run test check tools bench fuzz docs screenshots constraints clean

run: $(VENV)/.run
	@exec $(BIN)/portside listen $(ARGS)

test: $(VENV)/.dev tools
	@. $(BIN)/activate && CI=$(CI) ./tests/run

tools:
	@./tests/tools

bench: $(VENV)/.dev tools
	$(BIN)/python -m bench $(ARGS)

fuzz: $(VENV)/.dev
	$(BIN)/python -m fuzz $(ARGS)

docs: $(VENV)/.dev
	$(BIN)/python docs/reference.py
	$(BIN)/python -m sphinx -W --keep-going -n -q -b html docs build/docs
	@echo "the site: build/docs/index.html"

screenshots: $(VENV)/.dev
	$(BIN)/python docs/screenshots.py

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	   echo "Portside needs Python 3.11 or later, and $(PYTHON) is $$($(PYTHON) -V 2>/dev/null || echo not here)." \
	      "Name another one: PYTHON=python3.12 make $(or $(MAKECMDGOALS),run)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.run tests/web/package.json
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --group dev
	$(BIN)/python tests/web_tools.py
	@touch $@

# Resolved in a fresh environment, so that the packages installed here have no influence.
constraints:
	@rm -rf build/constraints && $(PYTHON) -m venv build/constraints
	@PIP_CONSTRAINT= build/constraints/bin/python -m pip install --quiet --upgrade pip
	@PIP_CONSTRAINT= build/constraints/bin/python -m pip install --quiet . --group dev
	@{ echo "# The versions that are tested together; made by: make constraints"; \
	   build/constraints/bin/python -m pip freeze --all --exclude portside --exclude setuptools; } > constraints.txt
	@rm -rf build/constraints

clean:
	rm -rf $(VENV) build dist bench/out
