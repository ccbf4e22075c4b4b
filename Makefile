# `make train` and `make test` need Python 3.11 or newer, pip and make; they set up all else.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
READY := .venv/.installed

# Children (accelerate launch and its processes) must find this environment's python first.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: train test soak oldest benchmark check lint types clean

train: $(READY)
	accelerate launch --quiet --num_processes 1 --num_machines 1 --mixed_precision no --dynamo_backend no \
		scripts/train.py --recipe swap-delta

test: $(READY)
	pytest -n 2 -m "not soak"

soak: $(READY)
	pytest -m soak

# The oldest `datasets` that is supported, in front of the newest: the private door must fit both.
oldest: $(READY)
	$(BIN)/python -m pip install --quiet --no-deps --upgrade --target .oldest datasets==5.1.0
	PYTHONPATH=.oldest pytest tests/vsc_dataset/test_builder.py
	rm -rf .oldest

benchmark: $(READY)
	python scripts/benchmark.py

check: lint types test

lint: $(READY)
	ruff format --check .
	ruff check .

types: $(READY)
	mypy

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

clean:
	rm -rf .venv dist .mypy_cache .ruff_cache .pytest_cache
