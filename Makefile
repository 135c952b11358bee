# Everything a person types here. `make run` and `make test` need only Python >= 3.11 with venv, make and the registries.
SHELL := /bin/sh
VENV := .venv/bin
STORE ?= .run/store
SERVE ?= 1
SPLIT ?= .run/split
# Processes of the tests, for two processors: a third of the time they wait for each other's servers.
WORKERS ?= 3
export KUBESHARK_PLUGINS ?= $(CURDIR)/.run/plugins
export KUBESHARK_IDENTITY ?= $(CURDIR)/.run/identity/identity.age

.PHONY: setup run test test-cluster test-slow images split check fuzz bench bench-large bench-firewall bench-ui docs wheel clean help

help:
	@echo "make run    set up, build the example plugins, import the sample into an encrypted store, query it, serve it"
	@echo "make test   the whole suite      make check  types, style, import directions"
	@echo "make test-cluster  build kube-apiserver, once, and run against it what is about clusters (make test does too, once it is there)"
	@echo "make images  build the images with buildah, as root      make split  export hub, worker and front as repositories of their own, to .run/split (SPLIT=DIR)"
	@echo "make bench  compare with peers (bench-large: 10 GB, bench-ui: the page, bench-firewall: the firewall)   make fuzz   parsers against hostile bytes   make wheel  build the wheel"

setup:
	@scripts/setup.sh

run: setup
	@scripts/run.sh "$(STORE)" "$(SERVE)"

test:
	@scripts/setup.sh test
	@$(VENV)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "not slow and not images" $(PYTEST)

test-cluster:
	@scripts/setup.sh test
	@scripts/kube_apiserver.sh
	@$(VENV)/pytest tests/cluster $(PYTEST)

test-slow:
	@scripts/setup.sh test
	@$(VENV)/pytest -m slow $(PYTEST)

images:
	@scripts/setup.sh check
	@scripts/images.sh

split:
	@$${PYTHON:-python3} scripts/split.py "$(SPLIT)"

check:
	@scripts/setup.sh check test
	@scripts/check.sh

fuzz:
	@scripts/setup.sh test fuzz || scripts/setup.sh test
	@tests/fuzz/run_all.sh

bench:
	@scripts/setup.sh bench
	@$(VENV)/python -m benchmarks

bench-large:
	@scripts/setup.sh bench
	@$(VENV)/python -m benchmarks --large

bench-firewall:
	@scripts/setup.sh test
	@$(VENV)/python -m benchmarks.firewall $(BENCH)

bench-ui:
	@scripts/setup.sh test
	@$(VENV)/python -m benchmarks.ui

docs:
	@scripts/setup.sh
	@$(VENV)/python scripts/generate_sdk.py
	@$(VENV)/python scripts/generate_docs.py

wheel:
	@scripts/setup.sh check
	@$(VENV)/python -m build

clean:
	rm -rf .run build dist
