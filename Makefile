# make setup | demo | test | fuzz | crash | compose | simulate | tck | interop | bench | lint | types | docs | lock | clean
#
# Every target does all of its own set-up and never repeats finished work: a stamp file in .venv remembers each lock file
# that is installed. PYTHON=... chooses the interpreter; without it the first that runs and is new enough is taken.
.DELETE_ON_ERROR:
.SHELLFLAGS := -euc

VENV := .venv
BIN := $(VENV)/bin
CANDIDATES := $(or $(PYTHON),python3 python3.13 python3.12 python3.11 $(wildcard $(HOME)/.pyenv/versions/3.1[1-9]*/bin/python))
USABLE := import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))
# A machine for which there is no wheel of uv is served by pip: slower, the same result.
INSTALL = if [ -x $(BIN)/uv ]; then set -- $(BIN)/uv pip install --compile-bytecode --python $(BIN)/python "$$@"; \
	else set -- $(BIN)/python -m pip install --disable-pip-version-check "$$@"; fi; "$$@" -q
COMPILE = $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--custom-compile-command 'make lock'

.PHONY: setup demo test fuzz crash compose simulate tck interop bench lint types docs lock clean

setup: $(VENV)/.run

demo: $(VENV)/.run
	@$(BIN)/connector demo

# Cheap checks first, all tests last, so that the last line is the test runner's own summary. The unit tests of the
# protocol are to cover every branch of it by themselves; tracing all the other tests as well would take twice the time.
PROTOCOL_TESTS = $(wildcard tests/unit/test_protocol_*.py tests/unit/test_*_table.py) tests/unit/test_process.py
test: $(VENV)/.dev
	$(BIN)/ruff check -q .
	$(BIN)/ruff format -q --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m pytest -q --cov=connector/protocol --cov-fail-under=100 --cov-report=term:skip-covered $(PROTOCOL_TESTS)
	$(BIN)/python -m pytest -n 2

# Minutes of attacks on a running node. SEED=... repeats a run, FUZZ_EXAMPLES=... says how many each test tries.
fuzz: SEED := $(or $(SEED),$(shell date +%s))
fuzz: $(VENV)/.dev
	@echo 'make fuzz SEED=$(SEED) repeats this run'
	@FUZZ_EXAMPLES=$(or $(FUZZ_EXAMPLES),30) $(BIN)/python -m pytest tests/fuzz -n 2 --hypothesis-seed=$(SEED)

# Hundreds of exchanges while nodes are killed, on SQLite and on PostgreSQL. SEED=... repeats a plan.
crash: $(VENV)/.run
	@$(BIN)/python tests/crash/run.py $(if $(SEED),--seed $(SEED))

# The composition in containers: its story, and each service restarted while exchanges run. Skipped without docker.
compose: $(VENV)/.run
	@$(BIN)/python tests/compose/run.py

# Nodes under a simulated network, clock and disk: SEEDS=10000 tries so many, FROM=... from there on, SEED=123 tells one.
simulate: $(VENV)/.dev
	@$(BIN)/python -m tests.simulation.run $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),1000) --from $(or $(FROM),0))

tck: $(VENV)/.run
	@$(BIN)/python tests/tck/run.py
	@$(BIN)/python tests/tck/dcp.py

# A real EDC where Java and the folder of tools are, the Python SDKs where a newer Python is. ONLY='restarted' picks cases of EDC's.
interop: $(VENV)/.run
	@$(BIN)/python tests/interop/run.py $(if $(ONLY),--only '$(ONLY)')

# QUICK=1 measures less and only prints. A real EDC is measured in turns with ours where it can be had; EDC=0 leaves it out.
bench: $(VENV)/.run
	@$(BIN)/python tests/bench/run.py $(if $(QUICK),--quick) $(if $(filter 0,$(EDC)),--no-edc)

lint: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/lint-imports --no-logo

types: $(VENV)/.dev
	$(BIN)/mypy

$(VENV)/.tool: requirements/tool.lock
	@for python in $(CANDIDATES); do \
		if $$python -c '$(USABLE)' 2>/dev/null; then $$python -m venv $(VENV); break; fi; \
	done; \
	test -x $(BIN)/python || { echo 'Python >= 3.11 with venv is needed (Debian: apt-get install python3-venv)' >&2; exit 1; }
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes --only-binary :all: -r $< \
		|| echo 'no wheel of uv for this machine: going on with pip' >&2
	@touch $@

$(VENV)/.run: requirements/run.lock pyproject.toml $(VENV)/.tool
	@set -- --require-hashes -r $<; $(INSTALL)
	@set -- --no-deps --no-build-isolation -e .; $(INSTALL)
	@touch $@

$(VENV)/.dev: requirements/dev.lock $(VENV)/.run
	@set -- --require-hashes -r $<; $(INSTALL)
	@touch $@

docs: $(VENV)/.dev
	@$(BIN)/python -m docs.generate

# Universal, hashed, and without the address of any registry.
lock: $(VENV)/.tool
	$(COMPILE) --group tool -o requirements/tool.lock
	$(COMPILE) pyproject.toml --extra postgres --extra otel --group build -o requirements/run.lock
	$(COMPILE) pyproject.toml --extra postgres --extra otel --group build --group dev -c requirements/run.lock -o requirements/dev.lock
	$(subst 3.11,3.12,$(COMPILE)) requirements/clients.in -o requirements/clients.lock
	! grep -nE 'https?://|index-url|--find-links' requirements/*.lock

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage*
