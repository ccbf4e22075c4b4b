# `make train` and `make test` need Python 3.11 or newer, pip and make; they set up all else.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
READY := .venv/.installed
# lm-evaluation-harness, without the libraries that only other tasks need.
HARNESS := lm_eval sacrebleu colorama lxml portalocker tabulate
DEMO := .demo/bin/python
DEMO_READY := .demo/.installed

# Children (accelerate launch and its processes) must find this environment's python first.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: train test soak oldest demo demo-test benchmark check lint types clean

train: $(READY)
	accelerate launch --quiet --num_processes 1 --num_machines 1 --mixed_precision no --dynamo_backend no \
		scripts/train.py --recipe swap-delta

test: $(READY)
	OMP_NUM_THREADS=1 pytest -n 2 --timeout 600 -m "not soak"

soak: $(READY)
	OMP_NUM_THREADS=1 pytest -m soak

# The oldest `datasets` that is supported, before the newest: what datasets' private API is used for must fit both.
oldest: $(READY)
	$(BIN)/python -m pip install --quiet --no-deps --upgrade --target .oldest datasets==5.1.0
	PYTHONPATH=.oldest pytest tests/vsc_dataset/test_builder.py
	rm -rf .oldest

# The page, with the newest runs that load or with CHECKPOINTS="runs/001-swap-delta …".
demo: $(DEMO_READY)
	ls runs/*/model.safetensors >/dev/null 2>&1 || $(MAKE) train
	$(DEMO) hub_cards/space/app.py $(if $(CHECKPOINTS),--checkpoints $(CHECKPOINTS))

# The page and its API, and a headless browser where there is one. Pictures go to build/.
demo-test: $(DEMO_READY)
	VSC_PICTURES=build $(DEMO) -m pytest tests/hub_cards/test_page.py

benchmark: $(READY)
	python scripts/benchmark.py

# Types together with the tests: by themselves they leave one core idle.
check: lint
	$(MAKE) -j 2 types test

lint: $(READY)
	ruff format --check .
	ruff check .

types: $(READY)
	mypy

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps $(HARNESS)
	touch $@

# Gradio needs older versions of two libraries than those pinned: a layer of its own above .venv.
$(DEMO_READY): $(READY) hub_cards/space/requirements.txt
	$(BIN)/python -m venv .demo
	$(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib'))" \
		> "$$($(DEMO) -c "import sysconfig; print(sysconfig.get_path('purelib'))")/venv.pth"
	grep -vE '^(pillow|tomlkit)==' constraints.txt > .demo/constraints.txt
	$(DEMO) -m pip install --quiet --disable-pip-version-check -c .demo/constraints.txt \
		-r hub_cards/space/requirements.txt selenium
	touch $@

clean:
	rm -rf .venv .demo dist .mypy_cache .ruff_cache .pytest_cache
