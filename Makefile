# Two commands on a fresh machine:  make demo,  make test.  Each makes .venv itself from constraints.txt.
#   make demo PYTHON=python3.12     with another interpreter
#   make test VENV=elsewhere        in another place
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

# pytest's own options, for example  make test PYTEST_ARGS='tests/cli -x'; two processes by default
PYTEST_ARGS ?= -n 2

# Modules are compiled when they are first loaded, and kept: pip would compile all of PyTorch, which takes as long as the rest.
PIP := $(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test lint docs slow statistical gpu build clean help
.DELETE_ON_ERROR:

help:
	@sed -n '1,3s/^# //p' $(firstword $(MAKEFILE_LIST))
	@echo "also: lint, docs, slow, statistical, gpu, build, clean"

demo: $(VENV)/.ready
	$(BIN)/deepgen demo

test: lint docs
	$(BIN)/pytest $(PYTEST_ARGS)

lint: $(VENV)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# A warning of the documentation build (a dead link, an undocumented page) is an error, and so is a reference to a name
# that stayed as it was written, which the build does not warn of.
docs: $(VENV)/.ready-dev
	@if [ -f mkdocs.yml ]; then echo "$(BIN)/mkdocs build --strict"; $(BIN)/mkdocs build --strict --quiet && ! grep -rn --include='*.html' '</code>\]\[' site; fi

slow statistical gpu: $(VENV)/.ready-dev
	$(BIN)/pytest -m $@ $(PYTEST_ARGS)

build: $(VENV)/.ready-dev
	$(BIN)/python -m build --no-isolation

clean:
	rm -rf $(VENV) build dist site runs .pytest_cache .mypy_cache .ruff_cache .hypothesis

# The build backend is installed first and pinned like the rest; the package itself is editable.
$(VENV)/.pip: constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and f"deepgen needs Python 3.10 or newer, {sys.executable} is {sys.version.split()[0]}: make PYTHON=python3.12")'
	@echo "Making $(VENV) from constraints.txt; downloading PyTorch can take some minutes the first time."
	$(PYTHON) -m venv $(VENV)
	$(PIP) hatchling editables
	@touch $@

$(VENV)/.ready: $(VENV)/.pip
	$(PIP) --no-build-isolation --editable .
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.pip
	$(PIP) --no-build-isolation --editable '.[dev,docs]'
	@touch $@ $(VENV)/.ready
