# SPDX-License-Identifier: GPL-2.0
# Everything that a contributor or a CI job types. `make help` lists the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SERIES ?= patches/device-exclusive
LAB ?= configs/rmap.yaml
RUN ?= reports/example

.PHONY: help ab test check lint unit integration browser pictures kernel postmortem coverage setup man schemas bench bench-console mutants touched mutation hostile hostile-quick clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

ab: setup ## the main job: A/B of the bundled series (SERIES=..., LAB=...)
	./lab.py ab $(LAB) --series $(SERIES)

setup: $(STAMP) ## install what is missing, and say what and why
	@$(PYTHON) -m rmaplab.prerequisites --install

$(STAMP): pyproject.toml
	@$(PYTHON) -m rmaplab.prerequisites --install
	@echo "Setting up the virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

test: check hostile-quick kernel ## all tests; the kernel ones build and boot the real thing

check: lint unit integration ## lint, unit and integration tests: no kernel build

lint: setup ## ruff, mypy --strict, import-linter, checkpatch
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports >.lint-imports.log 2>&1 || { cat .lint-imports.log; rm .lint-imports.log; exit 1; }
	@rm -f .lint-imports.log
	@$(BIN)/python tests/checkpatch.py
	@echo "lint: ok"

unit: setup ## tests of the pure parts
	@$(BIN)/pytest --numprocesses auto tests/unit

integration: setup ## tests with a fake kernel tree and real QEMU
	@$(PYTHON) -m rmaplab.prerequisites --tests --install
	@$(BIN)/pytest --numprocesses auto tests/integration

hostile-quick: setup ## hostile series, mails, guests and run folders: those that take a minute
	@$(BIN)/pytest --numprocesses auto tests/hostile -m 'not whole and not kernel'

hostile: setup ## all hostile attempts, on real guests too; the table goes to hostile-figures.md
	@$(BIN)/pytest tests/hostile --figures hostile-figures.md

browser: setup ## report.html in Chromium: 10,000 cells, hostile text, keyboard, axe-core (needs chromium, npm)
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[browser]'
	@npm ci --silent --no-audit --no-fund --prefix tests/browser
	@$(BIN)/pytest tests/browser

pictures: setup ## the README's pictures of a run (RUN=reports/...; needs chromium)
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[browser]'
	@$(BIN)/python -m tests.browser.pictures $(RUN)

kernel: setup ## tests that build and boot a real kernel
	@$(BIN)/pytest tests/kernel

postmortem: setup ## a kernel with debug info, crashed: source lines, drgn's reports (builds it first)
	@$(BIN)/pytest tests/postmortem

man: setup ## write the manual page, rmaplab.1
	@./lab.py man >rmaplab.1
	@echo "man -l rmaplab.1 shows it"

coverage: setup ## what the testcases of both labs reach, against what they name (half an hour)
	@$(BIN)/pytest tests/coverage

schemas: setup ## write the JSON Schemas that are shipped, and docs/file-reference.md
	@./lab.py schema reference >docs/file-reference.md
	@for kind in results lab guest testcase; do ./lab.py schema $$kind >rmaplab/schemas/$$kind.schema.json || exit 1; done

bench: setup bench-console ## what builds, boots and cells cost, against their goals
	@$(BIN)/python tests/bench_build.py
	@$(BIN)/python tests/bench_cells.py

bench-console: setup ## how fast consoles are parsed, and in how much memory
	@$(BIN)/python tests/bench_console.py

mutants: setup ## seeded bugs: the whole table of what the labs can see (hours)
	./lab.py mutants configs/catalogue.yaml configs/rmap.yaml --without-debug

touched: setup ## does --touched keep the testcases that find seeded bugs? (records both labs first, half an hour)
	@for lab in catalogue rmap; do ./lab.py run configs/$$lab.yaml --coverage --accel tcg --output reports/touched; done
	@$(BIN)/python tests/bench_touched.py reports/touched/*

mutation: setup ## break the code that decides, line by line: do the unit tests notice? (half an hour)
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[mutation]'
	@nice -n 5 $(BIN)/python tests/mutation.py

clean: ## remove what make made here; the cache is lab.py clean's
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache mutants
