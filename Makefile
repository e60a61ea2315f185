# Everything is set up by the commands themselves: `make demo` and `make test` need Python 3.11 to 3.13 with its venv
# module, a POSIX shell, and a network that reaches the package index. `make help` lists what there is.

# The first interpreter that will do; `make PYTHON=/path/to/python3.12 …` names another.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && break; done)
VENV := $(or $(FAULTSTREAM_VENV),.venv)
RUN := $(VENV)/bin/python

# Given on the command line or in the environment, and read by the tools below.
export ENGINE REQUIRE KAFKA_BOOTSTRAP FAULTSTREAM_CACHE FAULTSTREAM_VENV FAULTSTREAM_DATA
# A hundred starts of the daemon, each compiling what it imports, are minutes of the tests.
unexport PYTHONDONTWRITEBYTECODE
export PYTHONPATH := $(CURDIR)$(if $(PYTHONPATH),:$(PYTHONPATH))

.DEFAULT_GOAL := help
.PHONY: help demo test check unit chaos eval fuzz fuzz-decoder bench bench-kafka bench-reduce bench-serving bench-tickets model-server fmt lock clean python

help: ## this list
	@echo 'make TARGET [VARIABLE=value …]'
	@echo
	@sed -n 's/^\([a-z-]*\):.*## /  \1\t/p' Makefile | awk -F '\t' '{ printf "%-16s %s\n", $$1, $$2 }'
	@echo
	@echo '  ENGINE=vllm          vLLM instead of llama.cpp (the default without a GPU)'
	@echo '  KAFKA_BOOTSTRAP=h:p  a running Kafka instead of the embedded broker'
	@echo '  CHECK=1, KEEP=1      demo: fail unless all is as promised; leave everything running'
	@echo '  REQUIRE=kafka,vllm   test: fail where these would be left out'
	@echo '  T="-k name"          test, unit: more arguments for pytest; T=-n0: in one process, where two are the rule'
	@echo '  PORT=8000            model-server: where it listens'
	@echo '  GPU=1 MODEL=folder   bench-serving: a 3B model on a GPU; or URL=http://…/v1 for a server at hand'
	@echo '  PYTHON=python3.12    the interpreter to set up with'

python:
	@test -n '$(PYTHON)' || { echo 'Python 3.11, 3.12 or 3.13 is needed and none was found; name one: make PYTHON=… $(MAKECMDGOALS)' >&2; exit 1; }

demo: python ## real failing builds become tickets on this machine: set up, run, show, end
	@DEMO_BEGAN=$$(date +%s); export DEMO_BEGAN; \
		$(PYTHON) -m tools.bootstrap demo --run $(RUN) -m tools.demo $(if $(CHECK),--check) $(if $(KEEP),--keep)

test: python ## everything that this machine can check; names what it left out
	@$(PYTHON) -m tools.bootstrap test && $(RUN) -m tools.checks --then-tests -- $(T)

check: python ## format, lint, types and layers alone
	@$(PYTHON) -m tools.bootstrap dev && $(RUN) -m tools.checks

unit: python ## the unit tests alone
	@$(PYTHON) -m tools.bootstrap dev && $(RUN) -m pytest tests/unit -q $(T)

chaos: python ## kills, freezes and cuts off daemons and brokers for MINUTES=30, by SEED=n; counts what is lost or doubled
	@$(PYTHON) -m tools.bootstrap dev && $(RUN) -m tests.chaos --minutes $(or $(MINUTES),30) $(if $(SEED),--seed $(SEED)) $(A)

eval: python ## how often rules, ranking and the model are right, on samples with known truth
	@$(PYTHON) -m tools.bootstrap test && $(RUN) -m tools.evaluate $(A)

fuzz: python ## looks for bytes that break the reading of logs, for ten minutes, led by what they reach; Linux on x86-64
	@$(PYTHON) -m tools.bootstrap dev && $(RUN) -m tests.fuzz $(A)

fuzz-decoder: python ## hard schemas and hostile logs against a real guided decoder, for an hour or two; A="--grammars" for minutes
	@$(PYTHON) -m tools.bootstrap test && $(RUN) -m tests.decoder $(if $(ENGINE),--engine $(ENGINE)) $(A)

bench: python ## throughput beside a bare client loop, into bench/results/
	@$(PYTHON) -m tools.bootstrap bench && $(RUN) -m bench $(A)

bench-kafka: python ## the engine on Apache Kafka beside bare client loops and other frameworks, into bench/results/
	@$(PYTHON) -m tools.bootstrap bench && $(RUN) -m bench.kafka $(A)

bench-serving: python ## the serving layer on real vLLM beside a bare client and naive use, into bench/results/; GPU=1 MODEL=folder
	@test -z '$(GPU)' || test -n '$(MODEL)$(URL)' || { echo 'GPU=1 needs MODEL=folder of a 3B model, or URL=http://…/v1' >&2; exit 1; }
	@$(PYTHON) -m tools.bootstrap dev $(if $(URL),,vllm) && $(RUN) -m bench.serving $(if $(GPU),--in-flight 64 --logs-asked 181 \
		--naive-logs 60 --naive-rounds 3) $(if $(MODEL),--model '$(MODEL)') $(if $(URL),--url '$(URL)') $(A)

bench-tickets: python ## the ticket role on Apache Kafka: decisions, recovery, a storm, Jira's rate; into bench/results/
	@$(PYTHON) -m tools.bootstrap bench && $(RUN) -m bench.tickets $(A)

bench-reduce: python ## how well, how fast and how safely logs are read, into bench/results/
	@$(PYTHON) -m tools.bootstrap reading && $(RUN) -m bench.reduce $(A)

model-server: python ## a model server on this machine, in its own environment; stays until Ctrl-C
	@$(PYTHON) -m tools.bootstrap model && $(PYTHON) -m tools.servers.model $(if $(PORT),--port $(PORT))

fmt: python ## format, and fix what can be fixed
	@$(PYTHON) -m tools.bootstrap dev && $(RUN) -m ruff check --fix --quiet . ; $(RUN) -m ruff format .

lock: python ## write requirements/*.txt anew from *.in (needs uv)
	@$(PYTHON) -m tools.lock

clean: ## remove what was made in the checkout; the cache outside it stays
	rm -rf .venv .demo .cache .hypothesis .pytest_cache .mypy_cache .ruff_cache .import_linter_cache build dist bench/results
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
