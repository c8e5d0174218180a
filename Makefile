# make run: train the geo domain end to end.   make test: the whole suite.   Both set up .venv by themselves.
.DEFAULT_GOAL := help
.PHONY: help setup run test test-vllm lint docs

PYTHON ?=
ARGS ?=
PACKS := $(patsubst %/pyproject.toml,%,$(wildcard domains/*/pyproject.toml))
PROJECTS := pyproject.toml $(PACKS:=/pyproject.toml)
STAMP := .venv/.installed
VLLM := tests/training/with_vllm
VLLM_STAMP := .venv-vllm/.installed

help:
	@echo 'make setup   create .venv and install everything (about 1.5 GB, once)'
	@echo 'make run     train the geo domain end to end on the CPU; the report is runs/geo/report.html'
	@echo 'make test    run the whole test suite;            make test ARGS="-k audit"'
	@echo 'make test-vllm   rehearse sampling with vLLM on the CPU, in .venv-vllm (about 4 GB)'
	@echo 'make lint    check style and types'
	@echo 'make docs    write the generated references again'

setup: $(STAMP)

$(STAMP): $(PROJECTS)
	@set -e; \
	for python in $(or $(PYTHON),python3 python3.11 python3.12 python3.13 python3.14 python); do \
	  if $$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo 'no Python 3.11 or newer with the venv module found on PATH; install one (Debian: apt install python3-venv),' \
	    'or name it: make setup PYTHON=/path/to/python3.11' >&2; exit 1; \
	fi; \
	[ -x .venv/bin/python ] || { echo "making .venv with $$($$found --version)"; $$found -m venv .venv; }; \
	echo 'installing indirect-rlvr, $(PACKS) and what they need (about 1.5 GB, a minute or more)'; \
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --progress-bar off \
	  -e '.[dev]' $(addprefix -e ,$(PACKS)); \
	echo 'installed; the command is .venv/bin/rlvr'
	@touch $@

run: $(STAMP)
	.venv/bin/rlvr run --domain geo --out runs/geo $(ARGS)

test: $(STAMP)
	.venv/bin/python -m pytest $(ARGS)

# torchaudio and torchcodec are built for CUDA and stop transformers from importing vision models; vLLM needs neither.
$(VLLM_STAMP): $(PROJECTS) $(VLLM)/requirements.txt
	$(or $(PYTHON),python3) -m venv .venv-vllm
	.venv-vllm/bin/python -m pip install --quiet --disable-pip-version-check --progress-bar off \
	  -r $(VLLM)/requirements.txt -e . $(addprefix -e ,$(PACKS))
	.venv-vllm/bin/python -m pip uninstall --quiet --yes torchaudio torchcodec
	@touch $@

test-vllm: $(VLLM_STAMP)
	PYTHONPATH=$(CURDIR)/$(VLLM)/children .venv-vllm/bin/python -m pytest -W default --disable-warnings $(VLLM) $(ARGS)

lint: $(STAMP)
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy indirect_rlvr $(foreach pack,$(PACKS),$(wildcard $(pack)/indirect_rlvr_*)) benchmarks

docs: $(STAMP)
	.venv/bin/python docs/generate.py
