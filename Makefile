# Set-up, checks, tests and the demo. BUILD.md names the plain commands behind them.
PYTHON ?= $(shell command -v python3.11 || echo python3)
VENV = .venv
# One process a core up to four, whole files each: tests of a file share their runs.
PYTEST = $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile
BIN = $(VENV)/bin

.PHONY: setup check test test-all demo bench

setup: $(VENV)/ready

$(VENV)/ready: setup.py constraints.txt $(wildcard tfpipe/data/*/*.c)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .[dev]
	touch $@

$(VENV)/peers: $(VENV)/ready
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .[dev,jax,peers]
	touch $@

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: setup
	$(PYTEST) -m "not slow"

test-all: $(VENV)/peers
	$(PYTEST)

demo: setup
	$(BIN)/python tools/make_demo_images.py
	$(BIN)/python tools/make_records.py --image_dir=demo/images --records_dir=demo/records
	$(BIN)/python -m tfpipe.compare --records_dir=demo/records --runs_dir=demo/runs --model=small_cnn --image_size=32

# What is quick of benchmarks/, on the demo's pictures.
bench: setup
	$(BIN)/python tools/make_demo_images.py
	$(BIN)/python benchmarks/resize_filters.py --image_dir=demo/images
	$(BIN)/python benchmarks/input_rates.py --image_dir=demo/images --repeats=1
	$(BIN)/python benchmarks/report_time.py
