# Every target does its own set-up: Python 3.11 or later, make and a package index are enough.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WHEEL_VENV := .wheel-venv
TOOLS_VENV := .tools-venv
LOWEST_VENV := .lowest-venv
# Of the benchmarks: datasets, and a folder with <timm name>.safetensors of each backbone.
BENCH ?= ../shared/bench
WEIGHTS ?= ../shared/weights

export PYTHONWARNINGS ?= default
# Tests start many processes; each would compile every library that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: formats-page bench-readers help setup demo docs test test-all tools browser screenshots gallery studio-web check generated lowest format wheel-test bench-crf bench-start bench-check bench-animals bench-animals-joint bench-steel bench-steel-joint bench-peers bench-onnx bench-serve bench-slow-clients fuzz clean

help:
	@echo "make demo | docs | test | test-all | fuzz | check | lowest | format | bench-check | bench-crf | bench-start | bench-animals | bench-steel | bench-peers | bench-onnx | bench-serve | bench-slow-clients | clean"

setup: $(STAMP)

# uv installs in parallel; where it cannot, pip does the same more slowly.
$(STAMP): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv || true
	$(BIN)/uv pip install --quiet --python $(BIN)/python -e ".[dev]" \
	  || $(BIN)/python -m pip install --quiet -e ".[dev]"
	touch $@

demo: $(STAMP)
	$(BIN)/tag2mask demo

# Two files at a time, each with one thread: most tests keep one core busy.
test: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check pydensecrf2 2>/dev/null \
	  || echo "pydensecrf2 cannot be built here: its comparison is skipped"
	$(MAKE) tools || echo "the tools cannot be installed here: what they read is not compared"
	$(MAKE) browser || echo "Chromium cannot be installed here: tests of pages are skipped"
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder
	$(MAKE) wheel-test

# With further cases of what other tests check: some two minutes more.
test-all: test
	$(BIN)/python -m pytest -m thorough

# Damaged files of every reader and image kind, 2,000 each; the seed of the random numbers is printed. SEED= repeats one.
FUZZ_COUNT ?= 2000
fuzz: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.hostile.fuzz --count $(FUZZ_COUNT) $(if $(SEED),--seed $(SEED))

# Annotation tools that read what `tag2mask export` writes; they pin older libraries than ours.
tools: $(TOOLS_VENV)/.installed

$(TOOLS_VENV)/.installed: | $(STAMP)
	$(PYTHON) -m venv $(TOOLS_VENV)
	$(BIN)/uv pip install --quiet --only-binary :all: --python $(TOOLS_VENV)/bin/python datumaro label-studio-sdk
	touch $@

APT := -o Acquire::Retries=1 -o Acquire::http::Timeout=20

# Debian's Chromium, for the tests that look at pages.
browser:
	command -v chromium >/dev/null || (timeout 60 apt-get $(APT) update -qq \
	  && timeout 240 apt-get $(APT) install -qq -y --no-install-recommends chromium >/dev/null)

# The wheel, with what it declares and nothing else, takes the demo's first steps.
wheel-test: $(STAMP)
	rm -rf dist $(WHEEL_VENV)
	$(BIN)/python -m build --installer uv --wheel --outdir dist . >/dev/null || $(BIN)/python -m build --wheel --outdir dist . >/dev/null
	$(PYTHON) -m venv $(WHEEL_VENV)
	$(BIN)/uv pip install --quiet --python $(WHEEL_VENV)/bin/python "$$(ls dist/*.whl)[train]" \
	  || $(WHEEL_VENV)/bin/python -m pip install --quiet "$$(ls dist/*.whl)[train]"
	cd $(WHEEL_VENV) && bin/tag2mask demo --quick --out demo-out
	rm -rf $(WHEEL_VENV)

# The studio's page: built from TypeScript into the package, which holds what it writes. Node 20 or later.
studio-web:
	cd studio-web && npm ci --no-fund --no-audit && npm run build && npm test

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/interrogate --quiet src
	$(MAKE) docs

# The site, in site/. A warning, a link or an anchor that leads nowhere, ends the build.
docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# The oldest dependencies that pyproject.toml allows, Python 3.11. Old libraries warn of newer ones: warnings are no errors here, and
# the test that makes them errors in a process of its own is left out.
lowest: $(STAMP)
	$(BIN)/uv venv --quiet --clear --python 3.11 $(LOWEST_VENV)
	$(BIN)/uv pip install --quiet --python $(LOWEST_VENV)/bin/python --resolution lowest-direct \
	  -e ".[train,onnx]" "hypothesis>=6.100" "pytest>=8.2" "pytest-timeout>=2.3"
	OMP_NUM_THREADS=1 $(LOWEST_VENV)/bin/python -m pytest -o filterwarnings=default tests/crf/test_dense_crf.py tests/config \
	  tests/evaluation tests/masks/test_palette_png.py tests/models tests/inference/test_onnx.py \
	  --deselect tests/inference/test_onnx.py::test_the_command_line_without_torch \
	  --deselect tests/config/test_generated.py::test_the_schema_that_is_shipped_is_that_of_the_code
	rm -rf $(LOWEST_VENV)

# Files that are made from the code: tests hold them equal to it.
generated: $(STAMP)
	$(BIN)/python -m tag2mask.config.schema_json
	$(BIN)/python -m tag2mask.config.settings_page docs/settings.md
	$(BIN)/python -m tag2mask.cli.commands_page docs/commands.md

# What is read and written, and how exactly: runs the tests of each format.
formats-page: $(STAMP)
	$(BIN)/python benchmarks/formats_page.py

# 100,000 rows of each table format: seconds and memory.
bench-readers: $(STAMP)
	$(BIN)/python benchmarks/bench_readers.py

format: $(STAMP)
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format --quiet .

bench-check: $(STAMP)
	$(BIN)/python benchmarks/bench_check.py

bench-crf: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check pydensecrf2
	$(BIN)/python benchmarks/bench_crf.py

# Command line, imports, first masks, many images; RUN= and IMAGES= name a run and images, made ones without.
bench-start: $(STAMP)
	$(BIN)/python benchmarks/bench_start.py $(if $(IMAGES),$(RUN) $(IMAGES))

bench-animals: $(STAMP)
	$(BIN)/python benchmarks/bench_dataset.py voc_animals --bench $(BENCH) --limit 800 --config frozen --no-pseudo --no-cam \
	  --weights $(WEIGHTS)

# The whole network trained, as in the paper.
bench-animals-joint: $(STAMP)
	$(BIN)/python benchmarks/bench_dataset.py voc_animals --bench $(BENCH) --weights $(WEIGHTS) --limit 800

bench-steel: $(STAMP)
	$(BIN)/python benchmarks/bench_dataset.py steel_defects --bench $(BENCH) --weights $(WEIGHTS) --config frozen-surfaces --no-pseudo --no-cam

bench-steel-joint: $(STAMP)
	$(BIN)/python benchmarks/bench_dataset.py steel_defects --bench $(BENCH) --weights $(WEIGHTS) --config surfaces

# They use the network that `make bench-animals` trains; RUN= names another.
RUN ?= runs/bench-voc_animals-800-seed0/tags

bench-onnx: $(STAMP)
	$(BIN)/python benchmarks/bench_onnx.py $(RUN) $(BENCH)/voc_animals/val/images --masks $(BENCH)/voc_animals/val/masks \
	  --calibrate $(BENCH)/voc_animals/train/images

bench-serve: $(STAMP)
	$(BIN)/python benchmarks/bench_serve.py $(RUN) $(BENCH)/voc_animals/val/images --minutes 10

# Clients that hold connections, four minutes.
bench-slow-clients: $(STAMP)
	$(BIN)/python benchmarks/bench_slow_clients.py $(RUN) $(BENCH)/voc_animals/val/images

# Our first masks beside other packages' class maps. Those packages come without their dependencies, so that they change no
# library of ours. Networks that `make bench-animals` and `make bench-steel` have trained join in.
BACKBONE ?= resnet18
PEER_RUNS := voc_animals=runs/bench-voc_animals-800-seed0/tags steel_defects=runs/bench-steel_defects-all-seed0/tags
bench-peers: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check pydensecrf2 scikit-learn ttach
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps grad-cam torchcam
	$(BIN)/python benchmarks/bench_peers.py voc_animals steel_defects --bench $(BENCH) --backbone $(BACKBONE) \
	  --weights $(WEIGHTS) \
	  $(foreach pair,$(PEER_RUNS),$(if $(wildcard $(lastword $(subst =, ,$(pair)))/model.safetensors),--run $(pair)))

# The images of README and documentation: demo, report, studio.
screenshots: demo browser
	$(BIN)/python benchmarks/screenshots.py demo-out docs/images

# The images of docs/gallery.md and docs/method.md, from made images alone.
gallery: demo
	$(BIN)/python benchmarks/gallery.py demo-out docs/images --weights $(if $(wildcard $(WEIGHTS)),$(WEIGHTS),hub)

clean:
	rm -rf $(VENV) $(WHEEL_VENV) $(LOWEST_VENV) dist build site demo-out .mypy_cache .ruff_cache .pytest_cache .hypothesis
