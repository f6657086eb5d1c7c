# gossip-price on one machine. `make` alone lists what there is.
# ARGS='…' hands options on: make run ARGS='--nodes 7', make test ARGS='-k quorum'.
# SEEDS=… and FIRST=… say which simulated bad days: make sim SEEDS=100000.
# PYTHON=… names the interpreter that .venv is made with (3.11 to 3.13).
# PYTHON_IMAGE=… is the base of the images (python:3.13-slim), IMAGES=… and TAG=… their name.

.DEFAULT_GOAL := help
.PHONY: help run test test-kube e2e faults sim mutants lint bench bench-catchup bench-events bench-page bench-operator docs screenshots manifests images clean
.DELETE_ON_ERROR:

ARGS ?=
SEEDS ?= 1000
FIRST ?= 0
PYTHON ?=
export PYTHON
PYTHON_IMAGE ?=
IMAGES ?= ghcr.io/gossip-price
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
TAG ?= $(VERSION)

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: .venv/.ready ## run a whole network here: bootstrap, 4 nodes, Postgres (Ctrl-C ends it)
	@exec .venv/bin/gossip-price up $(ARGS)

test: .venv/.ready ## every test that needs no cluster
	@scripts/check-test-tools
	@scripts/check-browser >/dev/null
	@exec .venv/bin/python -m pytest -n auto --dist worksteal $(ARGS)

faults: .venv/.ready ## real processes, libp2p and Postgres through bad days (root; 10 minutes)
	@scripts/check-fault-tools
	@exec .venv/bin/python tests/faults/run_all.py $(ARGS)

test-kube: .venv/.ready ## the operator on a real API server (needs KUBEBUILDER_ASSETS)
	@exec .venv/bin/python -m pytest tests/kube $(ARGS)

e2e: .venv/.ready ## everything for real, in kind (needs docker, kind, kubectl, helm; KEEP=1 keeps the cluster)
	@scripts/check-test-tools
	@scripts/check-browser >/dev/null
	@exec .venv/bin/python -m pytest tests/e2e $(ARGS)

sim: .venv/.ready ## simulate SEEDS bad days on all cores (1000; a failing seed tells its story)
	@exec .venv/bin/gossip-price simulate --seeds $(SEEDS) --first $(FIRST) $(ARGS)

mutants: .venv/.ready ## put deliberate bugs into the core; how many seeds until one is caught
	@exec .venv/bin/gossip-price simulate --mutants $(ARGS)

lint: .venv/.ready ## ruff, mypy strict, and the direction of imports
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports

bench: .venv/.ready ## what a real network costs for each stored price
	@exec .venv/bin/python benchmarks/network.py $(ARGS)

bench-catchup: .venv/.ready ## what catching up costs, in questions and bytes
	@exec .venv/bin/python benchmarks/catchup.py

bench-page: .venv/.ready ## what the live page weighs, and how soon it shows
	@scripts/check-browser >/dev/null
	@exec .venv/bin/python benchmarks/live_page.py

screenshots: .venv/.ready ## draw the live page in docs/: light, dark, narrow, a node down
	@scripts/check-browser >/dev/null
	@exec .venv/bin/python tests/page/screenshots.py docs

bench-events: .venv/.ready ## what 200 listeners to a node's events cost it, and how late they hear
	@exec .venv/bin/python benchmarks/events.py $(ARGS)

bench-operator: .venv/.ready ## how the operator bears many networks (needs KUBEBUILDER_ASSETS)
	@exec .venv/bin/python benchmarks/operator/size.py $(ARGS)

docs: .venv/.ready ## write the pages that are made from the code
	.venv/bin/python -m gossip_price.settings_page docs/configuration.md
	.venv/bin/python scripts/metrics_page.py docs/metrics.md
	.venv/bin/python scripts/chart_page.py charts/gossip-price/README.md

manifests: .venv/.ready ## write what ships from code: CRD, alerts, dashboard, the chart's part (needs helm)
	@exec scripts/write-manifests

images: ## build $(IMAGES)/node:$(TAG) and /operator:$(TAG), from python:3.13-slim
	@exec scripts/build-images "$(IMAGES)" "$(TAG)" "$(VERSION)" "$(PYTHON_IMAGE)"

clean: ## remove .venv and caches (not data/: that holds your network's keys and prices)
	rm -rf .venv build dist *.egg-info node/*.egg-info operator/*.egg-info
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find node operator tests -name __pycache__ -type d -prune -exec rm -rf {} +

# Made anew when what it was made from changes.
.venv/.ready: pyproject.toml constraints.txt scripts/check-prerequisites scripts/make-venv
	@scripts/make-venv
