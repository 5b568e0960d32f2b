# Two commands do everything: `make demo` and `make test`. Both set up .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := runs/demo
MINUTES ?= 8
CORES ?= 2
FILES ?= 20000

.PHONY: demo gallery notebooks test check fuzz setup setup-dev clean help

help:
	@echo "make demo   train, sample, measure and render point clouds (about 11 minutes on two cores)"
	@echo "make gallery  the pictures of docs/gallery.md (less than half an hour on two cores)"
	@echo "make notebooks  notebooks/*.ipynb of the texts beside them, executed (about 5 minutes on two cores)"
	@echo "make test   style, types, contracts and the test suite"
	@echo "make check  style, types and contracts alone"
	@echo "make fuzz   20,000 damaged files for every reader (a quarter of an hour)"

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

setup: $(VENV)/installed

setup-dev: $(VENV)/installed-dev

demo: setup
	@if [ -e $(RUN)/config.yaml ]; then $(BIN)/ptdiff resume $(RUN); \
	else $(BIN)/ptdiff train -m pointcloud --minutes $(MINUTES) --out $(RUN); fi
	$(BIN)/ptdiff eval $(RUN) -n 120 --points 512
	$(BIN)/ptdiff sample $(RUN) -n 30 --points 2048 --out $(RUN)/samples/samples.npz
	$(BIN)/ptdiff render $(RUN)/samples/samples.npz -n 30 --out $(RUN)/samples/samples.png
	$(BIN)/ptdiff render $(RUN)/samples/samples.npz -n 10 --turntable --out $(RUN)/samples/turntable.gif
	@echo
	@echo "pictures: $(RUN)/samples/samples.png and $(RUN)/samples/turntable.gif"
	@echo "figures:  $(RUN)/eval.json"
	@echo "samples:  $(RUN)/samples/samples.npz"

gallery: setup
	$(BIN)/python docs/build_gallery.py

check: setup-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m pytest -q -p no:cacheprovider ptdiff plugins datasets cli

test: check
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(CORES) --dist loadfile tests

notebooks: setup-dev
	cd notebooks && ../$(BIN)/jupytext --to ipynb --execute *.py

fuzz: setup-dev
	OMP_NUM_THREADS=1 $(BIN)/python tests/ptdiff_datasets/damage.py --count $(FILES)

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
