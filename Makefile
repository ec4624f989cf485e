# make run    start the product on http://127.0.0.1:8000 (PORT, HOST and the rest: .env.example)
# make test   lint, then every test
# make fuzz   bad input at length: every call of the schema, and 2,000 broken PDFs
# make bench  all measurements: bench-small and bench-retrieval, speed of search in a small and a
#             large library; bench-serving, streamed answers; each beside its peers; bench-logins,
#             questions beside wrong logins; bench-restarts, answers while two servers restart;
#             bench-admin, the admin beside a million messages
# make lock   pin what pyproject.toml names, and all that it needs, with hashes
# make audit  known vulnerabilities of what the product runs on; asks the package index
# make lint   style, types, layers, migrations, deployment checks, API schema

PYTHON ?= python3
BIN := .venv/bin
LAUNCH := $(BIN)/python -m botgpt.launch
# Tests and checks have a data folder of their own, so that they run beside `make run`.
TEST_ENV = BOTGPT_DATA_DIR="$${BOTGPT_DATA_DIR:-.data/test}"
DEPLOYED = DEBUG=false HTTPS=true ALLOWED_HOSTS=example.org \
	SECRET_KEY=only-for-checks-0123456789-abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLMN

BENCH_DATA = BOTGPT_DATA_DIR="$${BOTGPT_DATA_DIR:-.data/bench}
RETRIEVAL = $(LAUNCH) exec -- $(BIN)/python -m tests.benchmarks.retrieval

FUZZ = FUZZ_SECONDS=$${FUZZ_SECONDS:-600} FUZZ_VARIANTS=$${FUZZ_VARIANTS:-2000}

.PHONY: run test fuzz lint lock audit bench
.PHONY: bench-small bench-retrieval bench-serving bench-logins bench-restarts bench-admin

run: .venv/.run
	@exec $(LAUNCH)

test: lint
	@$(TEST_ENV) $(LAUNCH) exec -- $(BIN)/pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

# FUZZ_SEED=2 breaks them in other ways; a seed found wanting is FUZZ_SEED again.
fuzz: .venv/.test
	@$(TEST_ENV) $(FUZZ) $(LAUNCH) exec -- $(BIN)/pytest -s \
		tests/api/test_any_input.py tests/documents/test_mutated_pdfs.py

bench: bench-small bench-retrieval bench-serving bench-logins bench-restarts bench-admin

bench-small: .venv/.bench
	@$(BENCH_DATA)-small" $(RETRIEVAL) --stored 24 --documents 1 5 24

bench-retrieval: .venv/.bench
	@$(BENCH_DATA)" $(RETRIEVAL) $(BENCH)

# The peers get an environment of their own in the data folder, on the first run.
bench-serving: .venv/.bench
	@$(BENCH_DATA)" $(LAUNCH) exec -- $(BIN)/python -m tests.benchmarks.serving $(SERVING)

bench-logins: .venv/.bench
	@$(BENCH_DATA)" $(LAUNCH) exec -- $(BIN)/python -m tests.benchmarks.logins $(LOGINS)

# Its data folder takes 4 GB, and some minutes on the first run.
bench-admin: .venv/.test
	@$(BENCH_DATA)-admin" $(LAUNCH) exec -- $(BIN)/python -m tests.benchmarks.admin $(ADMIN)

# Six restarts under 100 streams, 1,000 answers; RESTARTS="--answers 5000" for more.
bench-restarts: .venv/.test
	@$(BIN)/python -m tests.launch.restarts $(RESTARTS)

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

# The versions that are pinned stay, where pyproject.toml lets them; make lock UPGRADE=--upgrade
# takes the newest. The hashes are those of every platform, for Python 3.11 and newer.
UV = $(BIN)/python -m uv
COMPILE = $(UV) pip compile --quiet --universal --generate-hashes --no-annotate --no-config \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(UPGRADE)

lock: .venv/.uv
	$(COMPILE) pyproject.toml -o requirements.txt
	$(COMPILE) pyproject.toml --group test -c requirements.txt -o tests/requirements.txt

INDEX = https://pypi.org
audit: .venv/.uv
	@curl --silent --fail --max-time 20 --output /dev/null $(INDEX)/pypi/pip/25.0/json \
		|| { echo "Nothing was audited: $(INDEX), which knows the vulnerabilities, does not answer."; exit 1; }
	$(UV) tool run pip-audit==2.10.1 --requirement requirements.txt --require-hashes \
		--disable-pip --strict

# The stamps are written last: an interrupted installation is taken up again.
.venv/.run: requirements.txt | .venv/bin/python
	@echo "Installing what requirements.txt names into .venv: the first time, a minute or so."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

.venv/.test: tests/requirements.txt requirements.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	@touch $@ .venv/.run

.venv/.uv: Makefile | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	@touch $@

.venv/.bench: tests/benchmarks/requirements.txt .venv/.test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		-r tests/benchmarks/requirements.txt
	@touch $@

# Debian's Python without its venv package leaves an environment without pip behind.
.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -m venv .venv \
		|| { rm -rf .venv; echo "No environment was made: install the package python3-venv."; exit 1; }
