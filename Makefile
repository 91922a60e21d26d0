# Every target works on a bare machine: the first one that needs it makes .venv and installs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# No trailing work when nothing changed: the stamp is newer than what it was made from.
INSTALLED := $(VENV)/.installed

.PHONY: test test-pi lint types clean
test: $(INSTALLED)
	$(BIN)/python -m pytest $(PYTEST_ARGS)

# Only what needs a Raspberry Pi's system, which it makes (see tools/pi_root.py).
test-pi: $(INSTALLED)
	$(BIN)/python -m pytest tests/pi $(PYTEST_ARGS)

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED)
	$(BIN)/mypy

$(INSTALLED): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[train,dev]'
	@touch $@

clean:
	rm -rf $(VENV) build dist
