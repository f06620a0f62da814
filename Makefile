# make report   train both sides, compare them, write reports/out/
# make test     lint, types and tests
# make lesson   backpropagation step by step, as a page: reports/out/lesson.html
# Each sets up what it needs: a virtual environment in .venv with the pinned packages.

PYTHON ?= python3
BIN := .venv/bin
# Two processes at a time, so one thread each.
TWO := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

# Kernels that torch and NumPy's OpenBLAS can be set to, on x86; avx512 and SkylakeX need AVX-512.
TORCH_KERNELS ?= default avx2 avx512
BLAS_KERNELS ?= Haswell SkylakeX Zen

.PHONY: setup report test lint long kernels versions campaign fuzz faults alarms models mutants browser lesson clean

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
	$(TWO) $(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

# What takes seconds (whole reports, processes that are killed, the README's commands), and the further cases
# of many of one kind.
long: setup
	$(TWO) $(BIN)/python -m pytest -n 2 --dist worksteal -m 'long and not campaign' $(ARGS)

# The tests once more on each kernel, one after the other: no tolerance may depend on the processor (an hour).
kernels: setup
	set -e; for kernel in $(TORCH_KERNELS); do echo "torch: $$kernel"; \
	ATEN_CPU_CAPABILITY=$$kernel $(TWO) $(BIN)/python -m pytest -n 2 --dist worksteal -m 'not campaign and not browser' $(ARGS); done
	set -e; for kernel in $(BLAS_KERNELS); do echo "OpenBLAS: $$kernel"; \
	OPENBLAS_CORETYPE=$$kernel $(TWO) $(BIN)/python -m pytest -n 2 --dist worksteal -m 'not campaign and not browser' $(ARGS); done

# The core of the suite with the oldest versions that pyproject.toml allows, and with the newest but for torch, on
# the oldest and the newest Python. torch 2.12.0 from PyPI brings CUDA's libraries: 5 GB.
OLDEST_PYTHON ?= python3.11
NEWEST_PYTHON ?= python3.13
CORE := tests/scratch tests/torch_ref tests/properties
# What old packages are warned of for newer ones is theirs.
QUIET := -W ignore::DeprecationWarning -W ignore::PendingDeprecationWarning
versions:
	$(OLDEST_PYTHON) -m venv .versions/oldest
	.versions/oldest/bin/python tests/oldest.py > .versions/oldest.txt
	.versions/oldest/bin/python -m pip install --quiet -r .versions/oldest.txt -e '.[dev]'
	$(TWO) .versions/oldest/bin/python -m pytest -n 2 $(QUIET) $(CORE)
	$(NEWEST_PYTHON) -m venv .versions/newest
	.versions/newest/bin/python -m pip install --quiet torch==2.13.0 -e '.[dev]'
	$(TWO) .versions/newest/bin/python -m pytest -n 2 $(CORE)

# Every mistake in every module of the catalog that can make it, at three scales; every configuration by each
# gradcheck, entry by entry; reports that are killed, and one on a cluster of two workers (minutes).
campaign: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[cluster]'
	$(TWO) $(BIN)/python -m pytest -n 2 -m campaign $(ARGS)

# Bad input and faults, some 119,000 of them, and the table of what came of them by area (some minutes).
fuzz: setup
	GRADMIRROR_FUZZ=1 $(TWO) $(BIN)/python -m pytest -n 2 tests/fuzz -m '' $(ARGS)

# The lesson in a real Chromium, where there is one.
browser: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[browser]'
	$(BIN)/python -m pytest -m browser $(ARGS)

lesson: setup
	$(BIN)/gradmirror lesson $(ARGS)

# The campaigns: which mistakes the check finds (minutes), how often it refuses what is right (an hour), and
# how the larger networks train beside their twins (minutes).
faults alarms models: setup
	$(BIN)/gradmirror $@ $(ARGS)

# Which changes of scratch/ no test sees: mutmut on a random sample (an hour).
mutants: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[mutants]'
	$(TWO) $(BIN)/python tests/mutants.py $(ARGS)

clean:
	rm -rf .venv .versions mutants .pytest_cache .mypy_cache .ruff_cache .hypothesis reports/out build dist *.egg-info
	find scratch torch_ref reports tests -name __pycache__ -prune -exec rm -rf {} +
