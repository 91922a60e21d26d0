# Every target works on a bare machine: the first one that needs it makes .venv and installs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# No trailing work when nothing changed: the stamp is newer than what it was made from.
INSTALLED := $(VENV)/.installed

# Photos and weights beside the checkout, where there are any.
SHARED := $(or $(POETS_EDGE_SHARED),../shared)
PHOTOS ?= $(or $(wildcard $(SHARED)/data/flower_photos),build/flower_photos)

.PHONY: quickstart test test-pi lint types benchmark android clean
quickstart: $(INSTALLED)
	$(BIN)/poets-edge quickstart

# Two files of tests at once; the tests of one share what they set up, so they stay together.
test: $(INSTALLED)
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile $(PYTEST_ARGS)

# Only what needs a Raspberry Pi's system, which it makes (see tools/pi/).
test-pi: $(INSTALLED)
	$(BIN)/python -m pytest tests/pi $(PYTEST_ARGS)

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED)
	$(BIN)/mypy

# Some minutes on a quiet machine; see benchmarks/README.md.
benchmark: $(INSTALLED)
	$(BIN)/python -m pytest benchmarks --benchmark-only -s $(PYTEST_ARGS)

# The app's JVM tests on what Python answers, then its APK, with a flower model inside if it has no model yet.
android: $(INSTALLED) | $(PHOTOS)
	$(if $(wildcard $(SHARED)/keras),KERAS_HOME=$(SHARED)/keras )$(BIN)/python -m tools.android_flowers --photos $(PHOTOS) --out build/android
	test -f android_demo/app/src/main/assets/model.tflite || $(BIN)/poets-edge android build/android/flowers/retrained_graph_int8.tflite
	$(PYTHON) android_demo/build.py --vectors build/android/vectors

build/flower_photos: | $(INSTALLED)
	$(BIN)/poets-edge fetch-flowers $@

$(INSTALLED): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[train,dev]'
	@touch $@

clean:
	rm -rf $(VENV) build dist
