# The two main commands are `make demo` and `make test`; both set up .venv first. `make help` lists all targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := runs/demo
MINUTES ?= 8
COUNT ?= 400
# pytest processes: one per core
CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || echo 2)
# damaged files per reader
FILES ?= 20000
KILLS ?= 1000
DAMAGE ?= 2000

PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
PTDIFF := $(BIN)/ptdiff
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(CORES) --maxprocesses 8 --dist loadfile

.PHONY: help demo gallery notebooks test test-slow test-all check fuzz torture setup setup-dev machine clean
.DELETE_ON_ERROR:

help:  ## list all targets (the default)
	@sed -n 's/^\([a-z-]*\):.*## /\1 /p' Makefile | while read -r name text; do printf '%-10s  %s\n' "$$name" "$$text"; done

# Using ptdiff

demo: setup  ## sample the shipped model, then train, evaluate and render (about 11 minutes on two cores)
	@echo "ten shapes from the shipped model:"
	$(PTDIFF) sample shapes -n 10 --points 2048 --out $(RUN)-first/shapes.npz
	$(PTDIFF) render $(RUN)-first/shapes.npz --out $(RUN)-first/shapes.png
	@echo
	@echo "a model trained on your machine for $(MINUTES) minutes:"
	@if [ -e $(RUN)/config.yaml ]; then $(PTDIFF) resume $(RUN); \
	else $(PTDIFF) train -m pointcloud --minutes $(MINUTES) --out $(RUN); fi
	$(PTDIFF) eval $(RUN) -n $(COUNT) --points 512
	$(PTDIFF) sample $(RUN) -n 30 --points 2048 --out $(RUN)/samples/samples.npz
	$(PTDIFF) render $(RUN)/samples/samples.npz -n 30 --out $(RUN)/samples/samples.png
	$(PTDIFF) render $(RUN)/samples/samples.npz -n 10 --turntable --out $(RUN)/samples/turntable.gif
	@echo
	@echo "your run next to the shipped model:"
	$(PTDIFF) runs compare $(RUN) shapes --scores
	@echo
	@echo "images:  $(RUN)-first/shapes.png, $(RUN)/samples/samples.png and $(RUN)/samples/turntable.gif"
	@echo "scores:  $(RUN)/eval.json"
	@echo "samples: $(RUN)/samples/samples.npz"

gallery: setup  ## render the images of docs/gallery.md (under half an hour on two cores)
	$(BIN)/python docs/build_gallery.py

notebooks: setup-dev  ## build and execute notebooks/*.ipynb (about 5 minutes on two cores)
	cd notebooks && ../$(BIN)/jupytext --to ipynb --execute *.py

# Working on ptdiff

test: check  ## check style, types and import contracts, then run all but the slow tests
	$(PYTEST) -m 'not slow' tests

test-slow: setup-dev  ## run only the slow tests
	$(PYTEST) -m slow tests

test-all: test test-slow  ## test and test-slow, as CI does

check: setup-dev  ## only check style, types and import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m pytest -q -p no:cacheprovider ptdiff plugins datasets cli

fuzz: setup-dev  ## read 20,000 damaged and 20,000 valid files with every reader (half an hour)
	OMP_NUM_THREADS=1 $(BIN)/python tests/ptdiff_datasets/damage.py --count $(FILES)
	OMP_NUM_THREADS=1 $(BIN)/python tests/ptdiff_datasets/second_opinion.py --count $(FILES)

torture: setup-dev  ## 1,000 kills, 2,000 damages, failing disks and a soak (hours; KILLS=, DAMAGE=, MINUTES= shorten it)
	OMP_NUM_THREADS=1 $(BIN)/python tests/torture/torture.py --kills $(KILLS) --damage $(DAMAGE) --minutes $(or $(MINUTES),30)

# Installation

setup: $(VENV)/installed  ## create .venv with ptdiff

setup-dev: $(VENV)/installed-dev  ## create .venv with ptdiff and its development tools

machine:  ## install missing system packages as root on Debian or Ubuntu, else print the command
	@tools/machine.sh $(PYTHON)

# the stamp is written last, so that an interrupted installation is repeated
$(VENV)/installed: pyproject.toml constraints.txt | machine
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(PIP) -e '.[dev]'
	@touch $@

clean:  ## remove .venv, builds and caches
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
