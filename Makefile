# make run    start the product on http://127.0.0.1:8000 (PORT, HOST and the rest: .env.example)
# make test   lint, then every test
# make bench  speed of search, beside a search library and PostgreSQL's own ranking, in a small
#             library (bench-small alone: half a minute) and in a large one
# make lint   style, types, layers, migrations, deployment checks, API schema

PYTHON ?= python3
BIN := .venv/bin
LAUNCH := $(BIN)/python -m botgpt.launch
# Tests and checks have a data folder of their own, so that they run beside `make run`.
TEST_ENV = BOTGPT_DATA_DIR="$${BOTGPT_DATA_DIR:-.data/test}"
DEPLOYED = DEBUG=false HTTPS=true ALLOWED_HOSTS=example.org \
	SECRET_KEY=only-for-checks-0123456789-abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLMN

BENCHMARK = $(LAUNCH) exec -- $(BIN)/python -m tests.benchmarks.retrieval

.PHONY: run test lint bench bench-small

run: .venv/.run
	@exec $(LAUNCH)

test: lint
	@$(TEST_ENV) $(LAUNCH) exec -- $(BIN)/pytest

bench: bench-small
	@BOTGPT_DATA_DIR="$${BOTGPT_DATA_DIR:-.data/bench}" $(BENCHMARK) $(BENCH)

bench-small: .venv/.bench
	@BOTGPT_DATA_DIR="$${BOTGPT_DATA_DIR:-.data/bench}-small" \
		$(BENCHMARK) --stored 24 --documents 1 5 24

lint: .venv/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@$(TEST_ENV) $(DEPLOYED) $(LAUNCH) exec -- $(MAKE) --no-print-directory .checks

# What of lint needs the database.
.PHONY: .checks
.checks:
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python manage.py check --deploy --fail-level WARNING
	$(BIN)/python manage.py spectacular --validate --fail-on-warn --file /dev/null

# The stamps are written last: an interrupted installation is taken up again.
.venv/.run: requirements.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

.venv/.test: tests/requirements.txt requirements.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	@touch $@ .venv/.run

.venv/.bench: tests/benchmarks/requirements.txt .venv/.test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		-r tests/benchmarks/requirements.txt
	@touch $@

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv .venv
