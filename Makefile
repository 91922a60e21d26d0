# Every target works on a new machine: it first creates .venv and installs what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Stamp files: the packages are installed again only if pyproject.toml is newer.
INSTALLED := $(VENV)/.installed
# Only the dependencies of the program and the studio: neither TensorFlow nor development tools.
TRAINABLE := $(VENV)/.installed-train

# Folder with photos and weights beside the checkout, if there is one.
SHARED := $(or $(POETS_EDGE_SHARED),../shared)
# Minimum coverage of lines and branches in percent, two points below the current value. The studio's server and the
# helper processes of commands are not counted.
COVERAGE_FLOOR ?= 95
PHOTOS ?= $(or $(wildcard $(SHARED)/data/flower_photos),build/flower_photos)

.DEFAULT_GOAL := help
SECONDS ?= 300
BASE ?= 5dffe54
REFERENCE ?= build/compare
.PHONY: help check compare golden fuzz crash-test mutants mutants-changed quickstart test test-pi coverage lint types hooks docs wheel dist benchmark android web clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

quickstart: $(TRAINABLE) ## try every step in a minute: no network, no photos needed
	$(BIN)/poets-edge quickstart

# Four test files run at once: tests often wait for other processes. Tests in one file share fixtures and stay in one
# process. `pytest_collection_modifyitems` orders the files.
WORKERS ?= 4
PARALLEL := --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

# Otherwise, every worker process and every command that a test starts would compile all modules again.
unexport PYTHONDONTWRITEBYTECODE

test: $(INSTALLED) ## run the whole suite
	$(BIN)/python -m pytest $(PARALLEL) $(PYTEST_ARGS)

check: $(INSTALLED) ## check style and types, and run the fast tests: before every commit
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -m "not slow" $(PARALLEL) $(PYTEST_ARGS)

# Only the tests that need a Raspberry Pi's file system, which is created first (see tools/pi/).
test-pi: $(INSTALLED) ## run the Raspberry Pi tests alone, under emulation
	$(BIN)/python -m pytest tests/pi $(PYTEST_ARGS)

# As `make test`, with coverage. Code that commands run in helper processes is not counted.
coverage: $(INSTALLED) ## run the whole suite, and print the branches that are not covered
	$(BIN)/python -m pytest $(PARALLEL) --cov --cov-report=term --cov-report=json:build/coverage.json --cov-fail-under $(COVERAGE_FLOOR) $(PYTEST_ARGS)
	$(BIN)/python -m tools.coverage_floors build/coverage.json

fuzz: $(INSTALLED) ## run commands on hostile files for SECONDS=300
	$(BIN)/python -m tools.fuzz --seconds $(SECONDS) $(FUZZ_ARGS)

crash-test: $(INSTALLED) ## kill commands KILLS=200 times and at every rename, and check the results
	$(BIN)/python -m tools.crash --kills $(or $(KILLS),200) --writers 100 --points all

# PART is 1 to 10, each of up to 20 minutes; MODULE is a path in poets_edge. Without either, changed modules are run, and
# the report is written. SAMPLE draws that many mutants of each module at random.
mutants: $(INSTALLED) ## run mutation tests: PART=3, MODULE=device/metrics.py or SAMPLE=20
	$(BIN)/python -m tools.mutants $(if $(PART),--part $(PART)) $(if $(MODULE),--module $(MODULE)) $(if $(SAMPLE),--sample $(SAMPLE)) --jobs $(or $(JOBS),2) $(MUTANTS_ARGS)
	$(if $(PART)$(MODULE),,$(BIN)/python -m tools.mutants --report)

# A surviving mutant may be equivalent to the source, so this target reports survivors and does not fail.
mutants-changed: $(INSTALLED) ## run a sample of mutants in lines that the last 25 commits changed
	-$(BIN)/python -m tools.mutants --changed $(or $(SINCE),HEAD~25) --seconds 30 --jobs 2

# The outputs of BASE are cached in REFERENCE, so a second comparison runs only the working tree.
compare: $(INSTALLED) ## run every command with BASE=5dffe54 and the working tree, and compare the outputs
	$(BIN)/python -m tools.compare_revisions $(BASE) --reference $(REFERENCE) $(COMPARE_ARGS)

# A test compares these outputs in tests/golden; review the changes with git diff.
golden: $(INSTALLED) ## rewrite the golden outputs after an intended change (CASES="train label" for some)
	$(BIN)/python -m tools.golden $(CASES)

lint: $(INSTALLED) ## check style (ruff)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED) ## check types (mypy, strict)
	$(BIN)/mypy

hooks: $(INSTALLED) ## check style and types before every commit
	$(BIN)/pre-commit install

docs: $(VENV)/.installed-docs ## build the documentation into build/site
	$(BIN)/zensical build --strict

# Needs no development environment, and takes seconds.
wheel: ## build only the wheel into dist
	$(PYTHON) -m venv build/wheel-builder
	build/wheel-builder/bin/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .

# The wheel is built from the sdist, which shows that the sdist is complete, and then tried outside this checkout.
dist: $(INSTALLED) ## build the wheel and the sdist into dist, and try the wheel in bare environments
	rm -rf dist
	$(BIN)/python -m build --outdir dist
	$(PYTHON) tools/try_wheel.py dist/*.whl

# Takes minutes and needs a quiet machine; see benchmarks/README.md.
benchmark: $(INSTALLED) ## run the benchmarks
	$(BIN)/python -m pytest benchmarks --benchmark-only -s $(PYTEST_ARGS)

# Run the app's JVM tests on scores from Python, then build its APK, with a flower model if the app has no model yet.
android: $(INSTALLED) | $(PHOTOS) ## test the Android app against Python, and build its APK
	$(if $(wildcard $(SHARED)/keras),KERAS_HOME=$(SHARED)/keras )$(BIN)/python -m tools.android_flowers --photos $(PHOTOS) --out build/android
	test -f android_demo/app/src/main/assets/model.tflite || $(BIN)/poets-edge android build/android/flowers/retrained_graph_int8.tflite
	$(PYTHON) android_demo/build.py --vectors build/android/vectors

# The pages are built from web/ into the package and committed, so Node is needed only to change them.
web: $(INSTALLED) ## rebuild the pages of `web` and `studio` (needs Node)
	cd web && npm ci --ignore-scripts && npm run check && npm run build
	$(BIN)/python -m tools.web_runtime

build/flower_photos: | $(INSTALLED)
	$(BIN)/poets-edge fetch-flowers $@

$(INSTALLED): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[tensorflow,web,dev]'
	@touch $@ $(TRAINABLE)

$(TRAINABLE): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[studio]'
	@touch $@

$(VENV)/.installed-docs: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	@touch $@

clean: ## remove .venv and everything that was built
	rm -rf $(VENV) build dist
