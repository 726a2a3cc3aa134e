# Footlights: `make up` starts everything, `make demo` sells a hall, `make test` and `make check` guard the rest.
# Each target sets up what it needs by itself; the first one on a fresh machine takes a few minutes.

PYTHON := .venv/bin/python
READY := .venv/.ready
PORT ?= 8000
BROKERS ?= 1
SEEDS ?= 1

.DEFAULT_GOAL := help
.PHONY: help up down demo test check bench faults alerts mutants requirements format lock clean

help:
	@echo 'make up [PORT=8000] [BROKERS=1]     start Footlights on this machine; Ctrl-C stops it'
	@echo 'make down                           stop it from another terminal'
	@echo 'make demo [PLAN=file] [PLATFORM=url] sell a hall end to end, and check that every service agrees'
	@echo 'make test [K=expression]            all tests, on real PostgreSQL, Kafka and SMTP'
	@echo 'make check                          format, lint, types, boundaries, migrations, contracts, requirements'
	@echo 'make bench                          ratios against the raw limits; writes build/bench.json'
	@echo 'make faults [SEEDS=20] [BROKERS=3]  kill every part while people buy, cancel and are refunded'
	@echo 'make mutants [PATHS=...] [SAMPLE=100]  make one mistake at a time, to see whether the tests notice'
	@echo 'make alerts                         make every fault that has an alert, and see a real Prometheus tell it'
	@echo 'make requirements                   which requirements are shown by a passing test'
	@echo 'make format | lock | clean          tidy the code | lock the dependencies anew | forget local data'

$(READY): requirements.lock
	@deploy/platform/bootstrap.sh

up: $(READY)
	@exec $(PYTHON) -m deploy.platform.up --port $(PORT) --brokers $(BROKERS)

down:
	@if [ -e $(READY) ]; then exec $(PYTHON) -m deploy.platform.down; else echo 'Nothing runs: there is no environment yet.'; fi

demo: $(READY)
	@exec $(PYTHON) -m deploy.demo $(if $(PLAN),--plan '$(PLAN)') $(if $(PLATFORM),--platform '$(PLATFORM)')

test: $(READY)
	@deploy/platform/debian.sh
	@exec $(PYTHON) -m pytest -n 2 --dist loadfile $(if $(K),-k '$(K)')

check: $(READY)
	@exec $(PYTHON) -m deploy.checks.run

bench: $(READY)
	@exec $(PYTHON) -m tests.bench

faults: $(READY)
	@exec $(PYTHON) -m tests.faults --seeds $(SEEDS) --brokers $(BROKERS) $(if $(SEED),--seed $(SEED))

mutants: $(READY)
	@exec $(PYTHON) -m tests.mutants $(PATHS) $(if $(SAMPLE),--sample $(SAMPLE)) $(if $(SEED),--seed $(SEED)) \
		$(if $(MINUTES),--minutes $(MINUTES))

alerts: $(READY)
	@deploy/platform/debian.sh
	@exec $(PYTHON) -m pytest tests/alerts/on_a_platform.py -q -s

requirements: $(READY)
	@exec $(PYTHON) -m deploy.checks.requirements report

format: $(READY)
	@$(PYTHON) -m ruff format . && $(PYTHON) -m ruff check --fix .

lock: $(READY)
	@$(PYTHON) -m uv pip compile -q pyproject.toml --group platform --group dev --universal --python-version 3.11 \
		--generate-hashes --no-annotate --no-header --no-emit-index-url --no-emit-find-links -o requirements.lock
	@$(PYTHON) -m uv pip compile -q pyproject.toml -c requirements.lock --universal --python-version 3.11 \
		--generate-hashes --no-annotate --no-header --no-emit-index-url --no-emit-find-links \
		-o deploy/docker/requirements.txt
	@$(PYTHON) -m uv pip compile -q pyproject.toml --group operators -c requirements.lock --universal \
		--python-version 3.11 --generate-hashes --no-annotate --no-header --no-emit-index-url --no-emit-find-links \
		-o deploy/docker/requirements-cli.txt

clean: down
	@rm -rf .footlights build
