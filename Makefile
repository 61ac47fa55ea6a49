# Two commands are enough for a newcomer: `make run` and `make test`. Each sets up what it needs by itself.

SHELL   := /bin/sh
VENV    ?= .venv
PYTHON  ?= $(shell for p in python3.12 python3.13 python3.11 python3; do \
             $$p -c 'import sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null && { echo $$p; break; }; done)
PY      := $(VENV)/bin/python
PYTEST  ?= $(PY) -m pytest
# Further arguments for pytest (make test ARGS='-k journal') or for the command that runs (make up ARGS='--lab-port 8889')
ARGS    ?=
SOURCES := kernel_ext dagster_defs tests docs benchmarks binder runbooks
PRESENT  = $(wildcard $(SOURCES))
INSTALL := $(PY) -m pip install --quiet --disable-pip-version-check --no-input

.PHONY: help setup check format test test-crash upstream-suites test-long run demo up bench docs lock clean distclean
.DELETE_ON_ERROR:

help: ## what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

# ---- set-up: stamped, so that it runs once and again only when what it depends on has changed ----

$(PY):
	@test -n "$(PYTHON)" || { echo 'Python 3.11, 3.12 or 3.13 with its venv module is needed (PYTHON=/path/to/python chooses one).' >&2; exit 2; }
	@echo 'Making the environment $(VENV) with $(PYTHON) ...'
	@$(PYTHON) -m venv $(VENV)

# $(1): a lock file. Hashes are required; dependencies come from the lock alone, and so does what builds the package. Installing the
# package also puts the kernelspec into the environment.
define install
	@echo 'Installing requirements/$(1).txt (a few minutes the first time) ...'
	@$(INSTALL) --require-hashes -r requirements/$(1).txt
	@$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@
endef

$(VENV)/.run: $(PY) requirements/run.txt pyproject.toml $(wildcard kernel_ext/kernelspec/*)
	$(call install,run)

$(VENV)/.test: $(PY) requirements/test.txt pyproject.toml $(wildcard kernel_ext/kernelspec/*)
	$(call install,test)
	@touch $(VENV)/.run

$(VENV)/.bench: $(VENV)/.test requirements/bench.txt
	$(call install,bench)

setup: $(VENV)/.test ## the environment for everything below

# ---- daily ----

# Types, and unit tests in two processes of about the same length, are checked side by side; each of the two has its own memory of what failed.
# With ARGS (`-k WORD`), one of the two may have no such test (pytest ends with 5); both only when they run what failed before.
BESIDE      := $(addprefix tests/unit/,checkpoint codecs durable durable_interceptors events guardrails notebook prompts)
CHECK_CACHE ?= .pytest_cache/check
UNIT         = $(PYTEST) -q -p no:schemathesis $(ARGS)

check: $(VENV)/.test ## formatting, lint, types, floors, architecture and unit tests: under a minute
	$(VENV)/bin/ruff format --check $(PRESENT)
	$(VENV)/bin/ruff check $(PRESENT)
	@out=$$(mktemp -d); trap 'rm -rf "$$out"' EXIT; \
	($(UNIT) -o cache_dir=$(CHECK_CACHE)/beside $(BESIDE) >"$$out/beside" 2>&1; echo $$? >"$$out/status") & \
	($(PY) -m mypy >"$$out/types" 2>&1; echo $$? >"$$out/typed") & \
	$(UNIT) -o cache_dir=$(CHECK_CACHE)/rest tests/unit tests/architecture $(BESIDE:%=--ignore=%); rest=$$?; \
	wait; beside=$$(cat "$$out/status"); cat "$$out/beside" "$$out/types"; \
	[ "$$(cat "$$out/typed")" = 0 ] || exit 1; \
	case "$$rest$$beside" in \
	  00) ;; \
	  05|50) $(if $(strip $(ARGS)),true,exit 1) ;; \
	  55) $(if $(findstring --last-failed,$(ARGS)),true,echo "No test is of that kind." >&2; exit 1) ;; \
	  *) exit 1 ;; \
	esac

format: $(VENV)/.test ## put sources into the house's form
	$(VENV)/bin/ruff format $(PRESENT)
	$(VENV)/bin/ruff check --fix $(PRESENT)

test: $(VENV)/.test ## every suite in its short form
	$(PYTEST) $(ARGS)

test-crash: $(VENV)/.test ## only the suites that kill processes
	$(PYTEST) -m 'crash and not slow' $(ARGS)

upstream-suites: $(VENV)/.test ## fetch the suites of ipykernel, nbclient and papermill, which `make test-long` runs on the kernel
	$(PY) tests/conformance/fetch.py out/upstream

test-long: $(VENV)/.test ## every suite in its long form
	$(PYTEST) -m '' --timeout=3600 $(ARGS)

run: $(VENV)/.run ## see it work: a local AWS, a runbook, a kill, a resume, and the server's own count
	$(PY) -m holdfast.testing.rehearse runbooks/aws/delete-unattached-volumes.ipynb

demo: $(VENV)/.test ## an alert comes in, a runbook starts, you are asked in the inbox, and the cluster says what was done
	$(PY) -m holdfast.testing.demonstrate $(ARGS)

up: $(VENV)/.test ## JupyterLab with the Holdfast kernel, the inbox, Dagster and a worker, on loopback until Ctrl-C
	$(PY) -m holdfast up $(ARGS)

bench: $(VENV)/.bench ## one table: Holdfast beside its references
	$(PY) -m benchmarks $(ARGS)

docs: $(VENV)/.test ## make the generated reference pages again
	$(PY) docs/generate.py

# ---- now and then ----

COMPILE = $(PY) -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
          --no-emit-index-url --no-strip-extras --no-annotate --no-header $(UPGRADE) pyproject.toml

lock: $(VENV)/.test ## resolve the dependencies again (UPGRADE=--upgrade takes newer versions)
	$(INSTALL) uv
	$(COMPILE) --all-extras --group bench -o requirements/bench.txt
	$(COMPILE) --all-extras --group test -c requirements/bench.txt -o requirements/test.txt
	$(COMPILE) --extra aws --extra postgres --extra slack --group demo -c requirements/bench.txt -o requirements/run.txt
	$(COMPILE) --extra aws --extra kubernetes --extra datadog --extra slack --extra gateway --extra dagster-k8s --group build \
	  -c requirements/bench.txt -o requirements/image.txt

clean: ## caches and build output
	rm -rf build dist out .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find $(PRESENT) -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## and the environment
	rm -rf $(VENV)
