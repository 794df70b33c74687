# make setup | demo | test | tck | lock. Each target does all of its own set-up and never repeats finished work.
.DELETE_ON_ERROR:
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv pip install -q --compile-bytecode --python $(BIN)/python
UVC := $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command 'make lock'

.PHONY: setup lock
setup: $(VENV)/.run

$(VENV)/.tool: requirements/tool.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes --only-binary :all: -r requirements/tool.lock
	touch $@

$(VENV)/.run: $(VENV)/.tool requirements/run.lock pyproject.toml
	$(UV) --require-hashes -r requirements/run.lock
	$(UV) --no-deps --no-build-isolation -e .
	touch $@

$(VENV)/.dev: $(VENV)/.run requirements/dev.lock
	$(UV) --require-hashes -r requirements/dev.lock
	touch $@

lock: $(VENV)/.tool
	$(UVC) --group tool -o requirements/tool.lock
	$(UVC) pyproject.toml --extra postgres --group build -o requirements/run.lock
	$(UVC) pyproject.toml --extra postgres --group build --group dev -c requirements/run.lock -o requirements/dev.lock
	! grep -nE 'https?://|index-url|--find-links' requirements/*.lock
