# `make` sets up and runs the default study to its page; `make test` sets up and tests.
PYTHON ?= python3
CORES ?= all
WORKERS ?= 2
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.PHONY: study study-1k study-hard study-sparse leaderboard scaling base atlas setup setup-dev test mutants test-faults test-fast lint format bench bench-dag bench-extract bench-files bench-prepare bench-study bench-report bench-train bench-protocol clean-venv

study: setup
	$(BIN)/snakemake --cores $(CORES) $(ARGS)

# The named studies: their settings lie in studies/, their tables and pages in results/studies/.
study-1k study-hard: setup
	$(BIN)/snakemake --cores $(CORES) --configfile studies/$@.yaml $(ARGS)

# Adaptive sparse training on Fashion-MNIST (Debian's dataset-fashion-mnist), five seeds, and its table in the document.
study-sparse: setup
	$(BIN)/snakemake sparse --cores $(CORES) --configfile studies/$@.yaml $(ARGS)
	$(BIN)/lorascope sparse-table --comparison results/studies/$@/sparse/fashion/comparison --document docs/sparse-training.md

# Both studies (what is done already costs nothing), then their method tables.
leaderboard: study-1k study-hard
	$(BIN)/lorascope leaderboard study-1k study-hard --out docs/leaderboard.md

# How many adapters it takes, on the zoos of both studies: curves, and their table and picture in the document.
scaling: setup
	$(BIN)/snakemake scaling --cores $(CORES) --configfile studies/scaling.yaml $(ARGS)
	cp results/studies/$@/scaling/sizes.png docs/images/
	$(BIN)/lorascope scaling-table --table results/studies/$@/scaling/sizes.parquet --document docs/learning-curves.md

# Train the zoo's base model again by its recipe, and hold it against the shipped one.
base: setup
	$(BIN)/lorascope zoo-base --out results/base/base.safetensors
	$(BIN)/lorascope zoo-compare results/base/base.safetensors --out results/base/comparison.json

# What every layer of every known network is called and does: one file a model, from the libraries themselves.
atlas: setup-dev
	$(BIN)/python -m lorascope.adapters.atlas.maker $(ARGS)

setup: $(VENV)/.run
setup-dev: $(VENV)/.dev

$(VENV)/.run: requirements.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.run $(VENV)/.s3 requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements-dev.txt
	@touch $@

# The S3-compatible server of the tests, apart from what the study is pinned to.
$(VENV)/.s3: $(VENV)/.run requirements-s3.txt
	$(PYTHON) -m venv $(VENV)/s3-server
	$(VENV)/s3-server/bin/python -m pip install --quiet --disable-pip-version-check --requirement requirements-s3.txt
	@touch $@

# A file's tests stay with one worker, in their order.
test: setup-dev
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

# Every fault that tests/faults knows, 100 kills among them, and the table of docs/reliability.md from what came of it.
test-faults: setup-dev
	LORASCOPE_FAULTS=all LORASCOPE_FAULTS_JSON=$(CURDIR)/.faults.json \
	  $(BIN)/python -m pytest tests/faults $(ARGS); status=$$?; \
	  $(BIN)/python tests/faults/table.py .faults.json docs/reliability.md; rm .faults.json; exit $$status

# Fifty changes of the modules that make the numbers, one at a time: which of them no test notices.
mutants: setup-dev
	$(BIN)/python tests/mutants/run.py $(ARGS)

test-fast: setup-dev
	$(BIN)/python -m pytest -m "not slow" $(ARGS)

lint: setup-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow/rules
	$(BIN)/snakemake --lint

format: setup-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile workflow/rules

bench: bench-dag bench-extract bench-files bench-prepare bench-study bench-report bench-train

# Adapters of the published shape, made on the fly: `make bench-extract N=50000` needs 20 GB of disk.
N ?= 1000 10000
bench-extract: setup-dev
	$(BIN)/python benchmarks/extract.py --adapters $(N) $(ARGS)

# A folder of 1,000 adapter files, and the nearest of 10,000 adapters: 4 GB of disk.
bench-files: setup-dev
	$(BIN)/python benchmarks/files.py $(ARGS)

# Memory of `prepare` on a data set of 10,000 published adapters: 10 GB of disk.
bench-prepare: setup-dev
	$(BIN)/python benchmarks/prepare.py $(ARGS)

# The whole study of 1,000 published adapters: nine representations, two layer sets, ten seeds.
bench-study: setup-dev
	$(BIN)/python benchmarks/study.py --cores 2 $(ARGS)

# Tables and page of 18 cells with ten seeds each.
bench-report: setup-dev
	$(BIN)/python benchmarks/report.py $(ARGS)

# Dry runs of a study of 228 cells, with layers in groups of every size.
bench-dag: setup-dev
	$(BIN)/python benchmarks/dag.py $(ARGS)

bench-train: setup-dev
	$(BIN)/python benchmarks/train.py $(ARGS)

# The probe `mlp` beside a plain PyTorch training: 50 seeds each on two representations of 1,000 adapters.
bench-protocol: setup-dev
	$(BIN)/snakemake stats frequency --cores $(CORES) --configfile studies/study-1k.yaml --config 'probes=[majority]' 'layer_sets=[all]'
	$(BIN)/python benchmarks/protocol.py $(ARGS)

clean-venv:
	rm -rf $(VENV)
