# Two commands do everything: `make demo` and `make test`. Both set up .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := runs/demo
MINUTES ?= 8
COUNT ?= 400
# processes of pytest: one for each core
CORES ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || echo 2)
FILES ?= 20000

PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
PTDIFF := $(BIN)/ptdiff
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(CORES) --maxprocesses 8 --dist loadfile

.PHONY: help demo gallery notebooks test test-slow test-all check fuzz setup setup-dev machine clean
.DELETE_ON_ERROR:

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1 /p' Makefile | while read -r name text; do printf '%-10s  %s\n' "$$name" "$$text"; done

machine:  ## system packages: installs what is missing when run as root on Debian, otherwise names it
	@tools/machine.sh $(PYTHON)

# the stamps come last: an installation that was interrupted is made again
$(VENV)/installed: pyproject.toml constraints.txt | machine
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(PIP) -e '.[dev]'
	@touch $@

setup: $(VENV)/installed  ## .venv with everything that ptdiff needs

setup-dev: $(VENV)/installed-dev  ## .venv with everything that the tests need as well

demo: setup  ## a picture from a model that ships; then train, measure and render (about 11 minutes on two cores)
	@echo "ten shapes from the model that ships:"
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
	@echo "your run beside the model that ships:"
	$(PTDIFF) runs compare $(RUN) shapes --scores
	@echo
	@echo "pictures: $(RUN)-first/shapes.png, $(RUN)/samples/samples.png and $(RUN)/samples/turntable.gif"
	@echo "figures:  $(RUN)/eval.json"
	@echo "samples:  $(RUN)/samples/samples.npz"

gallery: setup  ## the pictures of docs/gallery.md (less than half an hour on two cores)
	$(BIN)/python docs/build_gallery.py

check: setup-dev  ## only style, types and import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m pytest -q -p no:cacheprovider ptdiff plugins datasets cli

test: check  ## style, types, import contracts and all but the slow tests
	$(PYTEST) -m 'not slow' tests

test-slow: setup-dev  ## only the slow tests
	$(PYTEST) -m slow tests

test-all: test test-slow  ## both, as CI does

notebooks: setup-dev  ## notebooks/*.ipynb of the texts beside them, executed (about 5 minutes on two cores)
	cd notebooks && ../$(BIN)/jupytext --to ipynb --execute *.py

fuzz: setup-dev  ## 20,000 damaged files for every reader (a quarter of an hour)
	OMP_NUM_THREADS=1 $(BIN)/python tests/ptdiff_datasets/damage.py --count $(FILES)

clean:  ## remove .venv and what the tools left behind
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
