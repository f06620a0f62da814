# make report   train both sides, compare them, write reports/out/
# make test     lint, types and tests
# Both set up what they need: a virtual environment in .venv with the pinned packages.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup report test lint faults alarms clean

setup: .venv/.ready

.venv/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

report: setup
	$(BIN)/python -m reports $(ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(BIN)/python -m pytest $(ARGS)

# The campaigns: which mistakes the check finds (minutes), and how often it refuses what is right (an hour).
faults alarms: setup
	$(BIN)/gradmirror $@ $(ARGS)

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis reports/out build dist *.egg-info
	find scratch torch_ref reports tests -name __pycache__ -prune -exec rm -rf {} +
