# gossip-price on one machine. `make` alone lists what there is.
# ARGS='…' hands options on: make run ARGS='--nodes 7', make test ARGS='-k quorum'.
# SEEDS=… and FIRST=… say which simulated bad days: make sim SEEDS=100000.
# PYTHON=… names the interpreter that .venv is made with (3.11 to 3.13).

.DEFAULT_GOAL := help
.PHONY: help run test test-kube faults sim mutants lint bench bench-catchup bench-operator docs manifests clean
.DELETE_ON_ERROR:

ARGS ?=
SEEDS ?= 1000
FIRST ?= 0
PYTHON ?=
export PYTHON
CRD := crds/pricenetworks.gossip-price.io.yaml

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: .venv/.ready ## run a whole network here: bootstrap, 4 nodes, Postgres (Ctrl-C ends it)
	@exec .venv/bin/gossip-price up $(ARGS)

test: .venv/.ready ## every test that needs no cluster
	@scripts/check-test-tools
	@exec .venv/bin/python -m pytest -n auto --dist worksteal $(ARGS)

faults: .venv/.ready ## real processes, libp2p and Postgres through bad days (root; 10 minutes)
	@scripts/check-fault-tools
	@exec .venv/bin/python tests/faults/run_all.py $(ARGS)

test-kube: .venv/.ready ## the operator on a real API server (needs KUBEBUILDER_ASSETS)
	@exec .venv/bin/python -m pytest tests/kube $(ARGS)

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

bench-operator: .venv/.ready ## how the operator bears many networks (needs KUBEBUILDER_ASSETS)
	@exec .venv/bin/python benchmarks/operator/size.py $(ARGS)

docs: .venv/.ready ## write the pages that are made from the code
	.venv/bin/python -m gossip_price.settings_page docs/configuration.md
	.venv/bin/python scripts/metrics_page.py docs/metrics.md

manifests: .venv/.ready ## write what ships from code: the CRD, alerts, the dashboard
	.venv/bin/python -m gossip_price_operator.crd >$(CRD).new
	mv $(CRD).new $(CRD)
	.venv/bin/python -m gossip_price_operator.rule_files deploy
	.venv/bin/python -m gossip_price.dashboard >deploy/dashboard.json.new
	mv deploy/dashboard.json.new deploy/dashboard.json

clean: ## remove .venv and caches (not data/: that holds your network's keys and prices)
	rm -rf .venv build dist *.egg-info node/*.egg-info operator/*.egg-info
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find node operator tests -name __pycache__ -type d -prune -exec rm -rf {} +

# Made anew when what it was made from changes.
.venv/.ready: pyproject.toml constraints.txt scripts/check-prerequisites scripts/make-venv
	@scripts/make-venv
