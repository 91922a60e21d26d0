# Every target works on a bare machine: the first one that needs it makes .venv and installs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# No trailing work when nothing changed: the stamp is newer than what it was made from.
INSTALLED := $(VENV)/.installed
# What the program itself needs, with its page, and without TensorFlow and the tools of development.
TRAINABLE := $(VENV)/.installed-train

# Photos and weights beside the checkout, where there are any.
SHARED := $(or $(POETS_EDGE_SHARED),../shared)
# Percent of lines and branches that the suite must take in its own process, two points below what it takes. The
# studio's server and what commands start run in processes of their own, which are not counted.
COVERAGE_FLOOR ?= 88
PHOTOS ?= $(or $(wildcard $(SHARED)/data/flower_photos),build/flower_photos)

.DEFAULT_GOAL := help
SECONDS ?= 300
BASE ?= dbd5ef9
REFERENCE ?= build/compare
.PHONY: help check compare golden fuzz crash-test mutants mutants-changed quickstart test test-pi coverage lint types hooks docs wheel dist benchmark android web clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

quickstart: $(TRAINABLE) ## try every step in a minute: no network, no photos needed
	$(BIN)/poets-edge quickstart

# Two files of tests at once; the tests of one share what they set up, so they stay together.
test: $(INSTALLED) ## run the whole suite
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

check: $(INSTALLED) ## style, types and the fast tests: before every commit
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -m "not slow" --numprocesses 2 --dist loadfile $(PYTEST_ARGS)

# Only what needs a Raspberry Pi's system, which it makes (see tools/pi/).
test-pi: $(INSTALLED) ## run the Raspberry Pi tests alone, under emulation
	$(BIN)/python -m pytest tests/pi $(PYTEST_ARGS)

# The same run as `make test`, measured. What commands do in processes of their own is not counted.
coverage: $(INSTALLED) ## run the whole suite, and print which branches it has not taken
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder --cov --cov-report=term --cov-report=json:build/coverage.json --cov-fail-under $(COVERAGE_FLOOR) $(PYTEST_ARGS)
	$(BIN)/python -m tools.coverage_floors build/coverage.json

fuzz: $(INSTALLED) ## give hostile files to the program, for SECONDS=300
	$(BIN)/python -m tools.fuzz --seconds $(SECONDS) $(FUZZ_ARGS)

crash-test: $(INSTALLED) ## kill commands KILLS=200 times and at every rename, and look at what they leave
	$(BIN)/python -m tools.crash --kills $(or $(KILLS),200) --writers 100 --points all

# PART is one of 9, of up to 20 minutes each; MODULE is a path under poets_edge. Without them, what has changed is run.
mutants: $(INSTALLED) ## plant faults that tests must notice: PART=3 or MODULE=device/metrics.py
	$(BIN)/python -m tools.mutants $(if $(PART),--part $(PART)) $(if $(MODULE),--module $(MODULE)) --jobs $(or $(JOBS),2) $(MUTANTS_ARGS)
	$(BIN)/python -m tools.mutants --report

# A survivor may be equivalent to the source, so this reports and does not fail.
mutants-changed: $(INSTALLED) ## plant a sample of faults in lines that the last 25 commits changed
	-$(BIN)/python -m tools.mutants --changed $(or $(SINCE),HEAD~25) --seconds 180 --jobs 2

# The outputs of BASE are kept in REFERENCE, so that only the working tree runs again.
compare: $(INSTALLED) ## run every command with BASE=dbd5ef9 and the working tree, and compare what they write
	$(BIN)/python -m tools.compare_revisions $(BASE) --reference $(REFERENCE) $(COMPARE_ARGS)

# Written to tests/golden, which a test compares; review the changes with git diff.
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

# Needs no development environment: seconds.
wheel: ## build the wheel alone into dist
	$(PYTHON) -m venv build/wheel-builder
	build/wheel-builder/bin/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .

# The wheel is built from the sdist, so both are complete or neither is; then it is tried where this checkout is not.
dist: $(INSTALLED) ## build the wheel and the sdist into dist, and try the wheel in bare environments
	rm -rf dist
	$(BIN)/python -m build --outdir dist
	$(PYTHON) tools/try_wheel.py dist/*.whl

# Some minutes on a quiet machine; see benchmarks/README.md.
benchmark: $(INSTALLED) ## repeat the benchmarks
	$(BIN)/python -m pytest benchmarks --benchmark-only -s $(PYTEST_ARGS)

# The app's JVM tests on what Python answers, then its APK, with a flower model inside if it has no model yet.
android: $(INSTALLED) | $(PHOTOS) ## test the Android app against Python, and build its APK
	$(if $(wildcard $(SHARED)/keras),KERAS_HOME=$(SHARED)/keras )$(BIN)/python -m tools.android_flowers --photos $(PHOTOS) --out build/android
	test -f android_demo/app/src/main/assets/model.tflite || $(BIN)/poets-edge android build/android/flowers/retrained_graph_int8.tflite
	$(PYTHON) android_demo/build.py --vectors build/android/vectors

# Built from web/ into the package, where it is tracked: only who changes it needs Node.
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
