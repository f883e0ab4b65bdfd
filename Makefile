# Everything a person types. `make` alone lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DEMO := build/demo
MINIMUMS := build/minimums
LOWEST := $(MINIMUMS)/.installed

.DEFAULT_GOAL := help
.PHONY: help install system demo docs docker-lint test checks lint types layers unit minimums fast gpu-check fonts texts style clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: $(INSTALLED)  ## make .venv with everything that development needs

$(INSTALLED): setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --no-compile --constraint constraints.txt --editable ".[dev]"
	touch $@

demo: $(INSTALLED)  ## checkpoint -> verified ONNX -> TensorRT engine -> text
	mkdir -p $(DEMO)
	$(BIN)/crnn-export --ckpt examples/zh.pth --out $(DEMO)/zh.onnx --data docs/samples
	$(BIN)/crnn-export $(DEMO)/zh.onnx --to trt --flavour rtx --out $(DEMO)/zh.trt
	$(BIN)/crnn-infer $(DEMO)/zh.onnx docs/samples

docs: $(INSTALLED)  ## the site, strictly: build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

docker-lint: $(INSTALLED)  ## hadolint: the Dockerfiles
	$(BIN)/hadolint docker/*.Dockerfile

test:  ## lint, types, import layers, the site and all tests
	$(MAKE) checks
	$(MAKE) unit

checks:  ## all of `make test` but the tests themselves, two things at a time
	$(MAKE) --jobs 2 --output-sync lint layers minimums types docs docker-lint

lint: $(INSTALLED)  ## ruff: mistakes and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED)  ## mypy --strict
	$(BIN)/mypy

layers: $(INSTALLED)  ## import-linter: imports point one way
	$(BIN)/lint-imports --no-cache

unit: $(INSTALLED)  ## all tests
	$(BIN)/pytest -n 2 --dist loadgroup --ignore tests/test_proof.py
	$(BIN)/pytest tests/test_proof.py

minimums: $(INSTALLED) $(LOWEST)  ## the runtime's tests on the lowest versions that setup.cfg declares
	$(MINIMUMS)/bin/pip install --quiet --no-deps --editable .
	$(MINIMUMS)/bin/pytest -p no:cacheprovider -m "not slow and not gpu" --hypothesis-seed 0 tests/runtime

# Beside the other environment, so without the project: two builds in one folder would meet.
$(LOWEST): setup.cfg tools/minimums.py
	$(PYTHON) -m venv $(MINIMUMS)
	$(PYTHON) -m tools.minimums > $(MINIMUMS)/lowest.txt
	$(MINIMUMS)/bin/pip install --quiet --requirement $(MINIMUMS)/lowest.txt \
	  hypothesis onnx pillow pytest
	touch $@

fast: $(INSTALLED)  ## the tests that take seconds
	$(BIN)/pytest -n 2 -m "not slow"

gpu-check:  ## all that needs an NVIDIA GPU -> docs/gpu-report.md; installs nothing
	PYTHONPATH=.typing:$$PYTHONPATH $(or $(wildcard $(BIN)/python),$(PYTHON)) -m tools.gpu.check

system:  ## install what tests use of the system: a browser, and Triton's Python (Debian, as root)
	apt-get update
	apt-get install -y --no-install-recommends chromium python3 python3-venv libpython3.11

fonts: $(INSTALLED)  ## install free fonts of many styles, Chinese and Latin (Debian, as root)
	FONTTOOLS=$(CURDIR)/$(BIN)/fonttools bash crnn/synth/fonts/install-fonts.sh

texts: $(INSTALLED)  ## fetch documents and extract sentences to draw lines of, Chinese and English (Debian)
	PYTHON=$(CURDIR)/$(BIN)/python bash crnn/synth/text/install-texts.sh

style: $(INSTALLED)  ## mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove the environment and everything built
	rm -rf $(VENV) build *.egg-info
