# `make` lists what there is. Everything is set up inside this checkout, in .venv.

# The first Python that Airflow runs on: 3.11 to 3.13.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
  $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
UV := $(BIN)/uv
PROFILES ?= 100000
PORT ?= 8100
N ?= 200
PLACES ?= 80
UI_PORT ?= 8080

# uv needs a cache that it can write: that of the user, or of the checkout if the user has none.
ifndef UV_CACHE_DIR
export UV_CACHE_DIR := $(shell d="$${XDG_CACHE_HOME:-$$HOME/.cache}/uv"; mkdir -p "$$d" 2>/dev/null && \
  test -w "$$d" && echo "$$d" || echo "$(CURDIR)/.venv/uv-cache")
endif

# The simulator and Airflow's API are on this machine, which a proxy of the environment does not reach.
export NO_PROXY := $(if $(NO_PROXY),$(NO_PROXY),$(no_proxy)),127.0.0.1,localhost
export no_proxy := $(NO_PROXY)

# The tests start many processes, which share the bytecode of the first.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup check test test-fast test-all test-ui test-backfill test-cluster test-matrix chaos demo sim ui bench bench-quota docs lock dist dist-check sbom audit clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv/.ready: requirements/dev.txt requirements/uv.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed, and none was found."; exit 1; }
	@echo "Setting up .venv (once) with $$($(PYTHON) --version) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@$(UV) pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements/dev.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

setup: .venv/.ready  ## make the environment in .venv

check: setup  ## ruff, mypy --strict, import-linter, house rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/house -n 2

test: setup  ## the tests; the house rules are a part of `make check`
	$(BIN)/python -m pytest tests --ignore tests/house -n 3 --dist worksteal

test-fast: setup  ## the core and the vendors' quick tests, for the inner loop (half a minute)
	SEGEXPORT_FAST_TESTS=1 $(BIN)/python -m pytest $$($(BIN)/python tests/slow_tests.py) -n 2 --dist worksteal

test-all: setup  ## the tests, with those that take long
	SEGEXPORT_ALL_TESTS=1 $(BIN)/python -m pytest tests -n 3 --dist worksteal

chaos: setup  ## random schedules, a model of them, kills, mutated replies: N=200 a vendor, or one again with VENDOR, SEED and N=1
	SEGEXPORT_ALL_TESTS=1 CHAOS_N=$(N) CHAOS_SEED=$(or $(SEED),0) CHAOS_PLACES=$(PLACES) $(BIN)/python -m pytest -n auto \
	  $(if $(VENDOR),-k $(VENDOR)) tests/chaos/test_schedules.py tests/chaos/test_model.py $(if $(SEED),,tests/chaos/test_kills.py)
	$(if $(SEED),,SEGEXPORT_MUTATIONS=all $(BIN)/python -m pytest -n auto \
	  $(if $(VENDOR),-k $(VENDOR)) tests/vendors/test_mutated_responses.py)
	CHAOS_MODEL=$(N) CHAOS_SEED=$(or $(SEED),0) $(BIN)/python -m pytest tests/core/test_fencing_model.py
	$(if $(SEED),,CHAOS_SUSPENDED=24 $(BIN)/python -m pytest -n auto $(if $(VENDOR),-k $(VENDOR)) tests/chaos/test_suspended.py)
	$(if $(SEED),,SEGEXPORT_ALL_TESTS=1 SEGEXPORT_POWER_SAMPLES=20 $(BIN)/python -m pytest -n auto \
	  $(if $(VENDOR),-k $(VENDOR)) tests/vendors/test_power_loss.py)

test-backfill: setup  ## on a running Airflow: backfills, catch-up, restarts, a race, approval (6 minutes)
	SEGEXPORT_LIVE=1 $(BIN)/python -m pytest tests/live

test-matrix: setup  ## Airflow 3.2 (oldest dependencies) and 3.3 on Python 3.11 to 3.13: ROWS=3.2-3.11,3.3-3.13
	$(BIN)/python scripts/matrix.py $(if $(ROWS),--rows $(ROWS))

.cluster/.ready: requirements/cluster.txt requirements/store.txt .venv/.ready
	@rm -rf .cluster && $(UV) venv --quiet --python $(BIN)/python .cluster/venv
	@$(UV) pip install --quiet --compile-bytecode --python .cluster/venv/bin/python --require-hashes \
	  -r requirements/cluster.txt -r requirements/store.txt -r requirements/build.txt
	@$(UV) pip install --quiet --python .cluster/venv/bin/python --no-deps --no-build-isolation --editable .
	@touch $@

test-cluster: setup .cluster/.ready  ## the compose file's cluster as processes: two workers, kill -9, quotas (5 minutes)
	SEGEXPORT_CLUSTER=1 $(BIN)/python -m pytest tests/cluster -rs

demo: setup  ## the main job, end to end: PROFILES=100000 by default
	@$(BIN)/python scripts/demo.py --profiles $(PROFILES) $(if $(KILL),--kill)

sim: setup  ## the vendors' simulator in the foreground, on PORT=8100
	@$(BIN)/python -m airflow_provider_segexport.simulator --port $(PORT)

ui: setup  ## Airflow with the examples and the simulator, on UI_PORT=8080; with DEMO=1 the exports of `make demo`
	@$(BIN)/python scripts/ui_airflow.py --port $(UI_PORT) $(if $(DEMO),--demo)

.bench/.ready: benchmarks/requirements.txt .venv/.ready
	@test -x .bench/venv/bin/python || $(UV) venv --quiet --python $(BIN)/python .bench/venv
	@$(UV) pip install --quiet --compile-bytecode --python .bench/venv/bin/python --require-hashes -r benchmarks/requirements.txt
	@touch $@

bench: .bench/.ready  ## speed, memory, quotas, compared with other programs: QUICK=1 for a short run
	@$(BIN)/python benchmarks/run.py $(if $(QUICK),--quick)

bench-quota: setup  ## a hundred export tasks on ten worker processes share one account's quota, in each store (20 minutes)
	@$(BIN)/python benchmarks/shared_quota.py --write

.docs/.ready: requirements/docs.txt .venv/.ready
	@rm -rf .docs/venv && $(UV) venv --quiet --python $(BIN)/python .docs/venv
	@$(UV) pip install --quiet --compile-bytecode --python .docs/venv/bin/python --require-hashes -r requirements/docs.txt
	@touch $@

docs: setup .docs/.ready  ## the documentation as a site in .docs/site; a dead link fails it
	@.docs/venv/bin/python scripts/docs_site.py

.venv/.ui-ready: requirements/ui.txt .venv/.ready
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements/ui.txt
	@touch $@

test-ui: setup .venv/.ui-ready  ## the UI in headless Chromium (10 minutes); SHOTS=docs/screenshots renews the docs' pictures
	@$(BIN)/python scripts/ui_browser.py >/dev/null
	SEGEXPORT_BROWSER=1 SEGEXPORT_SCREENSHOTS=$(SHOTS) $(BIN)/python -m pytest tests/browser

lock: setup  ## compile requirements/*.txt from requirements/*.in
	cd requirements && for set in dev runtime ui uv build cluster store sbom docs floor audit; do \
	  ../$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	    --custom-compile-command "make lock" -o $$set.txt $$set.in || exit 1; done
	cd benchmarks && ../$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --custom-compile-command "make lock" -c ../requirements/dev.txt -o requirements.txt requirements.in

dist: setup  ## wheel and sdist in dist/
	rm -rf dist
	$(BIN)/python -m build --no-isolation

.dist/.ready: requirements/runtime.txt requirements/sbom.txt .venv/.ready
	@rm -rf .dist && $(UV) venv --quiet --python $(BIN)/python .dist/venv && $(UV) venv --quiet --python $(BIN)/python .dist/sbom
	@$(UV) pip install --quiet --python .dist/venv/bin/python --require-hashes -r requirements/runtime.txt
	@$(UV) pip install --quiet --python .dist/sbom/bin/python --require-hashes -r requirements/sbom.txt
	@touch $@

dist-check: dist .dist/.ready  ## what a release holds: contents, metadata, a clean install, Airflow's own list
	$(BIN)/python scripts/dist_check.py dist .dist/venv

sbom: dist-check  ## dist/sbom.cdx.json and dist/licences.csv of what the provider brings along
	$(BIN)/python scripts/licences.py .dist/sbom .dist/venv dist

.audit/.ready: requirements/audit.txt .venv/.ready
	@rm -rf .audit && $(UV) venv --quiet --python $(BIN)/python .audit/venv
	@$(UV) pip install --quiet --python .audit/venv/bin/python --require-hashes -r requirements/audit.txt
	@touch $@

audit: setup .audit/.ready .dist/.ready  ## known vulnerabilities (if their database can be had) and licences
	@.audit/venv/bin/python scripts/audit.py .audit/venv/bin/pip-audit requirements/runtime.txt requirements/dev.txt
	@$(BIN)/python scripts/licences.py .dist/sbom .dist/venv .audit

clean:  ## remove what make made
	rm -rf .venv .demo .ui .ui-test .bench .dist .audit .docs .cluster .matrix dist build .mypy_cache .ruff_cache .pytest_cache
