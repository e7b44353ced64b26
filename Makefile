# Every target sets up by itself; nothing but Python 3.11+, make and a C compiler is assumed.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
JOBS   ?= auto
STAMP  := $(VENV)/.ready

.PHONY: help setup demo test lint format docs proof bench soak lock clean

help:
	@echo "make setup   everything into $(VENV)"
	@echo "make demo    three real nodes, faults injected, every acknowledged write checked (under a minute)"
	@echo "make test    what must hold on every commit (under five minutes)"
	@echo "make lint    ruff, mypy --strict, import-linter"
	@echo "make docs    the pictures and generated parts of the docs"
	@echo "make proof   every kind of keyspace in 1,000 seeds, every mutant, and the page that says so (an hour)"
	@echo "make bench   throughput and latency beside etcd, Redis and PySyncObj"
	@echo "make soak    long campaigns: thousands of seeds, mutants, chaos on real processes"

setup: $(STAMP)

$(STAMP): pyproject.toml requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $(STAMP)

demo: setup
	$(BIN)/comity demo

test: setup
	$(BIN)/python -m pytest -m "not soak" -n $(JOBS) --dist worksteal

lint: setup
	$(BIN)/ruff check src tests benchmarks docs/tour docs/detectors docs/keyspaces docs/measure docs/proof
	$(BIN)/ruff format --check src tests benchmarks docs/tour docs/detectors docs/keyspaces docs/measure docs/proof
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup
	$(BIN)/ruff check --fix src tests benchmarks docs/tour docs/detectors docs/keyspaces docs/measure docs/proof
	$(BIN)/ruff format src tests benchmarks docs/tour docs/detectors docs/keyspaces docs/measure docs/proof

docs: setup
	$(BIN)/python docs/tour/build.py
	$(BIN)/python docs/detectors/build.py
	$(BIN)/python docs/measure/build.py
	$(BIN)/python docs/keyspaces/build.py
	$(BIN)/python docs/proof/build.py
	$(BIN)/comity simulate --replay docs/images/space-time.case.json --diagram docs/images/space-time.svg \
		--window 880:1480 --title "Three nodes: the leader crashes, another is elected"

proof: setup
	$(BIN)/comity simulate --all --seeds 1000 --json > docs/proof/seeds.json
	$(BIN)/comity simulate --mutants --json > docs/proof/mutants.json
	$(BIN)/python docs/proof/build.py

bench: setup
	$(BIN)/python -m benchmarks

soak: setup
	$(BIN)/python -m pytest -m soak
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "psycopg[binary]>=3.1"
	$(BIN)/python examples/locked_dict.py
	$(BIN)/python examples/sqlite_transactions.py
	$(BIN)/python examples/redis_register.py
	$(BIN)/python examples/postgres_isolation.py
	$(BIN)/comity simulate --protocol raft --seeds 2000 --nodes 5
	$(BIN)/comity simulate --mutants
	$(BIN)/comity simulate --all --seeds 1000
	$(BIN)/comity chaos --minutes 5
	$(BIN)/comity chaos --all-keyspaces --minutes 5

lock:
	$(PYTHON) -m venv .lock-venv
	.lock-venv/bin/python -m pip install --quiet -e . --group dev
	.lock-venv/bin/python -m pip freeze --exclude-editable > requirements.lock
	rm -rf .lock-venv

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .hypothesis results
