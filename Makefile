# The commands of this project; `make help` explains them.

# Any Python from 3.11 on; for everything but `make run`, the one in .venv.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
TYPED := core tasks_app notifications hitl tests examples
OPENAPI := docs/openapi.json
# Commands that only look at the code need no keys and no database of ours.
OFFLINE := DATABASE_URL=sqlite://:memory: REDIS_URL=
SCHEMA := $(OFFLINE) $(BIN)/python manage.py spectacular --format openapi-json --fail-on-warn --skip-checks

.DEFAULT_GOAL := help
.PHONY: help run demo test lint fmt openapi nightly bench bench-quick mutants clean

help:
	@echo "make run          start everything on http://127.0.0.1:8000 with demo people and data (Ctrl-C stops it)"
	@echo "                  PORT=8001, HITL_HOME=folder, HITL_BIND=address, DATABASE_URL=postgresql://..., REDIS_URL=redis://..."
	@echo "                  It sets HITL_DEMO=1 and HITL_ALLOW_PRIVATE_HOSTS=127.0.0.1,localhost unless you set them:"
	@echo "                  the second lets webhooks reach receivers on this machine, as the demo's adapter is one."
	@echo "make demo         play the story of a refused operation against the running system"
	@echo "make test         the tests on SQLite and on PostgreSQL (ARGS=... is given to pytest)"
	@echo "make nightly      the same with the figures of docs/security.md: hours (ARGS='sqlite tests/concurrency' for a part)"
	@echo "make lint         style, types, import contracts, migrations, OpenAPI snapshot"
	@echo "make fmt          format the code"
	@echo "make mutants      break the code on purpose and see that the tests find it (about ten minutes)"
	@echo "make openapi      write $(OPENAPI) anew"
	@echo "make messages     collect the console's texts for the translations, and compile them (needs gettext)"
	@echo "make bench-quick  measure against the database's limit and a plain Django project; make bench: all sizes"
	@echo "make clean        remove caches (not .venv, and not var/, which holds your data)"

# The stamps hold a copy of what was installed, so that a changed file, and nothing else, installs again.
$(BIN)/python:
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "Python 3.11 or newer is needed. Install it, or name it: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	@"$(PYTHON)" -m venv $(VENV)

$(VENV)/installed.txt: requirements.txt | $(BIN)/python
	@cmp -s $< $@ || { echo "Installing the requirements ..."; \
		$(BIN)/python -m pip install --no-compile -qq --disable-pip-version-check --only-binary :all: -r $<; }
	@cp $< $@

$(VENV)/installed-dev.txt: requirements-dev.txt requirements.txt | $(BIN)/python
	@cat $^ | cmp -s - $@ || { echo "Installing the tools ..."; \
		$(BIN)/python -m pip install --no-compile -qq --disable-pip-version-check --only-binary :all: -r $<; }
	@cat $^ > $@

run: $(VENV)/installed.txt
	@export HITL_DEMO="$${HITL_DEMO-1}" HITL_ALLOW_PRIVATE_HOSTS="$${HITL_ALLOW_PRIVATE_HOSTS-127.0.0.1,localhost}"; \
		exec $(BIN)/python manage.py up

# The adapter's token and each reviewer's, printed by the same command that an operator uses.
demo: $(VENV)/installed.txt
	@set -e; token() { $(BIN)/python manage.py adapter_token "$$@"; }; \
		bot="$$(token bot --principal acme_corp)"; tokens="--token bot=$$bot"; \
		for person in ana zoe tom cora; do \
			secret="$$(token demo --for-user $$person)"; tokens="$$tokens --token $$person=$$secret"; \
		done; \
		exec $(BIN)/python -m examples.demo --url "$${HITL_BASE_URL-http://127.0.0.1:$${PORT-8000}}" $$tokens $(ARGS)

test: $(VENV)/installed-dev.txt
	@$(BIN)/python -m tests.run -n 2 --dist worksteal $(ARGS)

# Every count of tests/profile.py at its full figure.
nightly: $(VENV)/installed-dev.txt
	@HITL_TEST_PROFILE=nightly $(BIN)/python -m tests.run $(ARGS)

lint: $(VENV)/installed-dev.txt
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(OFFLINE) $(BIN)/python manage.py makemigrations --check --dry-run --skip-checks
	@$(SCHEMA) > .openapi.json && cmp -s .openapi.json $(OPENAPI) && rm .openapi.json || \
		{ rm -f .openapi.json; echo "$(OPENAPI) is not what the code says: run \`make openapi\` and look at the difference."; exit 1; }
	$(BIN)/mypy $(TYPED)

# Breaks shipped code on purpose, one patch after another; each has to turn exactly its test red.
mutants: $(VENV)/installed-dev.txt
	@$(BIN)/python -m tests.mutants.run $(ARGS)

fmt: $(VENV)/installed-dev.txt
	$(BIN)/ruff check --fix --select I .
	$(BIN)/ruff format .

openapi: $(VENV)/installed.txt
	$(SCHEMA) > $(OPENAPI)

messages: $(VENV)/installed.txt
	$(OFFLINE) $(BIN)/python manage.py makemessages --all --no-wrap --no-location --no-obsolete \
		$(foreach folder,tests bench examples deploy var $(VENV),--ignore "$(folder)/*")
	$(OFFLINE) $(BIN)/python manage.py compilemessages --ignore $(VENV)

bench-quick: $(VENV)/installed-dev.txt
	$(BIN)/python -m bench.run --quick

bench: $(VENV)/installed-dev.txt
	$(BIN)/python -m bench.run --full

clean:
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage htmlcov .schemathesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
