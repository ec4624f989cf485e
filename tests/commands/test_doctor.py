"""`manage.py doctor`: what is looked at, what is told, and that nothing hides the rest."""

import io
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from botgpt.doctor import database, files, findings, model
from botgpt.doctor.findings import Status, examine, ok
from llm import tokens
from tests import fake_groq
from tests.factories import empty_queue
from tests.launch.test_launch import ROOT, environment, free_port

# Each check has a connection of its own.
db = pytest.mark.django_db(transaction=True)
CHECKS = ["database", "worker", "model", "storage", "encodings", "settings", "clock"]


def doctor(*only):
    """The exit code, and the findings by check."""
    out = io.StringIO()
    options = [part for name in only for part in ("--only", name)]
    try:
        call_command("doctor", *options, "--json", stdout=out)
        code = 0
    except SystemExit as end:
        code = end.code
    found = {}
    for row in json.loads(out.getvalue())["findings"]:
        found.setdefault(row["check"], []).append(row)
    return code, found


def statuses(rows):
    return {row["status"] for row in rows}


def amiss(check):
    """What is not well, and how to mend it."""
    rows = doctor(check)[1][check]
    return " ".join(f"{row['seen']} {row['mend']}" for row in rows if row["status"] != "ok")


def lines(check):
    """All that is told, in one text."""
    return " ".join(f"{row['status']} {row['seen']}" for row in doctor(check)[1][check])


@pytest.fixture
def worker():
    """One that gave a sign of life just now, and nothing to do."""
    empty_queue()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM procrastinate_workers")
        cursor.execute("INSERT INTO procrastinate_workers DEFAULT VALUES")
    yield
    empty_queue()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM procrastinate_workers")


@db
def test_where_all_is_well_nothing_fails(worker, groq, settings, monkeypatch):
    monkeypatch.setattr(files, "LITTLE_BYTES", 0)

    code, found = doctor()

    assert code == 0, found
    assert list(found) == CHECKS
    assert all("ok" in statuses(rows) and "fail" not in statuses(rows) for rows in found.values())
    assert all(row["mend"] for rows in found.values() for row in rows if row["status"] != "ok")
    told = json.dumps(found)
    assert settings.GROQ_API_KEY not in told
    assert settings.SECRET_KEY not in told


@db
def test_people_get_a_line_for_each_with_how_to_mend_it(worker, capsys):
    call_command("doctor", "--only", "worker", "--only", "model")

    first, second, third, mend = capsys.readouterr().out.splitlines()
    assert first == "ok    worker     1 worker lives"
    assert second == "ok    worker     no job waits"
    assert third.startswith("warn  model      no GROQ_API_KEY here: grounded questions are")
    assert mend.strip().startswith("mend: make one at https://console.groq.com/keys")


def test_a_dead_database_leaves_no_other_check_out(tmp_path):
    address = f"postgresql://someone:only-known-to-us@127.0.0.1:{free_port()}/botgpt"
    secret = "".join(map(chr, range(40, 100)))

    done = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "doctor", "--json"],
        env=environment(tmp_path, DATABASE_URL=address, SECRET_KEY=secret),
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (done.returncode, done.stderr) == (1, "")
    rows = json.loads(done.stdout)["findings"]
    failed = {row["check"] for row in rows if row["status"] == "fail"}
    assert failed >= {"database", "worker", "clock"}
    assert {row["check"] for row in rows if row["status"] == "ok"} >= {"storage", "encodings"}
    assert "Connection refused" in rows[0]["seen"]
    assert "DATABASE_URL" in rows[0]["mend"]
    assert "only-known-to-us" not in done.stdout
    assert secret not in done.stdout


@db
def test_migrations_that_are_missing_are_told():
    applied = MigrationRecorder.Migration.objects.filter(app="documents").latest("pk")
    applied.delete()
    try:
        assert "migrations are not applied run manage.py migrate" in amiss("database")
    finally:
        applied.save(force_insert=True)


@db
def test_pools_that_want_more_connections_than_there_are_are_told(settings):
    settings.DATABASE_POOL_SIZE = 500

    code, found = doctor("database")

    assert code == 0
    (row,) = [one for one in found["database"] if one["status"] == "warn"]
    assert "may take" in row["seen"]
    assert "max_connections" in row["mend"]


def _lent(sockets):
    """As the embedded server, it refuses to run as root, which lends it that server's account."""
    if os.getuid() != 0:
        return []
    reading = [f"--{kind}-caps=+dac_read_search" for kind in ("inh", "ambient")]
    return ["setpriv", f"--reuid={os.stat(sockets).st_uid}", "--clear-groups", *reading]


@contextmanager
def pgbouncer(folder, mode):
    """A real one before the database of the test, on loopback; its port."""
    if not all(map(shutil.which, ["pgbouncer", *["setpriv"] * (os.getuid() == 0)])):
        pytest.skip("needs pgbouncer")
    own, port = connection.settings_dict, free_port()
    told = subprocess.run(["pgbouncer", "--version"], capture_output=True, text=True).stdout
    version = tuple(map(int, told.split()[1].split(".")))
    lines = ["[databases]", f"* = host={own['HOST']} port={own['PORT']} user={own['USER']}"]
    lines += ["[pgbouncer]", "listen_addr = 127.0.0.1", f"listen_port = {port}", "auth_type = any"]
    lines += ["unix_socket_dir =", f"pool_mode = {mode}"]
    lines += ["max_prepared_statements = 0"] * (version >= (1, 21))
    (folder / "pgbouncer.ini").write_text("\n".join(lines))
    process = subprocess.Popen([*_lent(own["HOST"]), "pgbouncer", "-q", folder / "pgbouncer.ini"])
    try:
        yield port
    finally:
        process.kill()
        process.wait()


@db
@pytest.mark.parametrize(
    ("mode", "told"),
    [
        ("session", "ok a pooler is in between, and prepared statements work"),
        ("transaction", "fail a pooler is in between that does not know prepared statements"),
    ],
)
def test_a_pooler_is_noticed(mode, told, tmp_path, monkeypatch):
    direct = database.connector_params("default")
    with pgbouncer(tmp_path, mode) as port:
        through = {"host": "127.0.0.1", "port": port, "dbname": direct["dbname"]}
        monkeypatch.setattr(database, "connector_params", lambda alias: direct | through)
        deadline = time.monotonic() + 20
        while "does not answer" in (seen := lines("database")) and time.monotonic() < deadline:
            time.sleep(0.05)

    assert told in seen


@db
def test_without_a_worker_it_fails_and_an_old_queue_is_told(worker):
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 hour'"
        )
        cursor.execute(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, args, scheduled_at)"
            " VALUES ('documents', 'x', '{}', now() - interval '90 seconds'),"
            " ('documents', 'x', '{}', now()), ('documents', 'x', '{}', now() + interval '1 day')"
        )

    code, found = doctor("worker")

    assert code == 1
    alive, queue = found["worker"]
    assert (alive["status"], queue["status"]) == ("fail", "warn")
    assert "for 3600 seconds none has given a sign of life" in alive["seen"]
    assert "procrastinate worker" in alive["mend"]
    assert "2 jobs wait, the oldest for 90 seconds" in queue["seen"]


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (fake_groq.error(401), "refuses the key set GROQ_API_KEY"),
        (fake_groq.error(500), "does not list its models (model_overloaded)"),
        (fake_groq.html(), "does not list its models (model_bad_answer)"),
        (fake_groq.hang(2), "says nothing within 1 seconds"),
    ],
)
def test_what_the_provider_says_is_told(groq, reply, told, monkeypatch):
    monkeypatch.setattr(model, "SECONDS", 1)
    groq.server.listing = reply

    assert told in amiss("model")


def test_a_provider_that_cannot_be_reached_is_told(settings):
    settings.GROQ_API_KEY = "gsk_test"
    settings.GROQ_BASE_URL = f"http://127.0.0.1:{free_port()}"

    assert "cannot be reached see that this machine may connect" in amiss("model")


def test_models_that_are_not_served_are_told(groq, settings):
    settings.GROQ_MODEL = "qwen/qwen3.8-27b"
    # Neither it nor its successor is served.
    settings.GROQ_FALLBACK_MODELS = ["llama-3.1-8b-instant", "openai/gpt-oss-120b"]
    groq.server.offered = ["openai/gpt-oss-120b", "whisper"]

    code, found = doctor("model")

    assert code == 1
    served, wanted, small, lacking, fallback = found["model"]
    assert served["seen"].endswith("takes the key and serves it openai/gpt-oss-120b")
    assert wanted["status"] == "fail"
    assert wanted["seen"] == "GROQ_MODEL: qwen/qwen3.8-27b is not served to this key"
    assert wanted["mend"] == "choose one that is: openai/gpt-oss-120b"
    assert (small["status"], lacking["status"]) == ("warn", "warn")
    assert small["seen"].endswith("no titles, summaries and searches for follow-ups")
    assert fallback["status"] == "ok"


def test_models_that_their_successors_answer_for_are_told(groq, settings):
    settings.GROQ_MODEL = "llama-3.1-70b-versatile"
    settings.GROQ_SMALL_MODEL = "llama-3.1-8b-instant"
    settings.GROQ_FALLBACK_MODELS = ["llama-3.3-70b-versatile"]
    groq.server.offered = fake_groq.ORDINARY

    code, found = doctor("model")

    assert code == 0
    _, wanted, small, fallback = found["model"]
    assert {one["status"] for one in (wanted, small, fallback)} == {"warn"}
    assert wanted["seen"] == (
        "GROQ_MODEL: llama-3.1-70b-versatile is not served to this key; "
        "openai/gpt-oss-120b answers in its place"
    )
    assert small["mend"] == "name openai/gpt-oss-20b instead"
    assert "GROQ_FALLBACK_MODELS: llama-3.3-70b-versatile" in fallback["seen"]


def test_the_probe_of_the_storage_leaves_nothing_behind(settings):
    code, found = doctor("storage")

    assert code == 0
    assert "gives it back and deletes it" in found["storage"][0]["seen"]
    assert [path for path in settings.MEDIA_ROOT.rglob("*") if path.is_file()] == []


def test_a_storage_that_takes_nothing_fails(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path / "file"
    settings.MEDIA_ROOT.write_text("no folder")

    assert "cannot be used" in amiss("storage")


def test_little_room_is_told(monkeypatch, settings):
    monkeypatch.setattr(files, "LITTLE_BYTES", 10**18)
    assert "GB are free make room, or move" in amiss("storage")

    settings.MAX_UPLOAD_BYTES = 10**18
    assert doctor("storage")[0] == 1


def test_a_damaged_encoding_is_told_and_not_fetched(monkeypatch, tmp_path):
    monkeypatch.setattr(tokens, "_cache_dir", tmp_path)
    (tmp_path / tokens.CACHE_NAMES["cl100k_base"]).write_text("half of it")

    code, found = doctor("encodings")

    assert code == 1
    assert [row["status"] for row in found["encodings"]] == ["ok", "fail"]
    assert tokens.CACHE_NAMES["cl100k_base"] in found["encodings"][1]["mend"]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"DEBUG": True, "DATABASE_URL": "postgresql://x"}, "acts for any user"),
        ({"ALLOWED_HOSTS": ["bot.example.org"]}, "bot.example.org without HTTPS"),
        ({"DATABASE_URL": "postgresql://x", "ALLOWED_HOSTS": ["localhost"]}, "names no host"),
        ({"HTTPS": True}, "NUM_PROXIES is 0"),
        ({"HTTPS": True, "DEBUG": True}, "HTTPS and DEBUG are both on"),
        ({"HTTPS": True, "CSRF_TRUSTED_ORIGINS": ["http://x.org"]}, "http://x.org is no https"),
        ({"DOCUMENTS_AT_ONCE": 8}, "takes all of DATABASE_POOL_SIZE=8"),
        ({"USER_STORED_BYTES": 1}, "USER_STORED_MB is less than MAX_UPLOAD_MB"),
        ({"MAX_BODY_BYTES": 16 * 1024}, "raise MAX_BODY_KB"),
        ({"CONTEXT_TOKENS": 10**6}, "more than openai/gpt-oss-120b holds"),
        ({"GROQ_BASE_URL": "http://x.org"}, "GROQ_BASE_URL is set without GROQ_API_KEY"),
        ({"GROQ_FALLBACK_MODELS": ["openai/gpt-oss-120b"]}, "names GROQ_MODEL itself"),
        ({"GROQ_REWRITE_SECONDS": 61}, "GROQ_REWRITE_SECONDS is more than"),
        ({"CSRF_TRUSTED_ORIGINS": ["x.org"]}, "4_0.E001"),
    ],
)
def test_settings_at_odds_are_told(settings, changed, told, monkeypatch):
    monkeypatch.delenv("HOST", raising=False)
    assert told not in amiss("settings")
    for name, value in changed.items():
        setattr(settings, name, value)

    assert told in amiss("settings")


def test_a_file_of_settings_that_nobody_reads_is_told(settings, tmp_path):
    settings.BASE_DIR = tmp_path
    (tmp_path / ".env").touch()

    assert ".env is there" in amiss("settings")


def test_a_secret_that_others_may_read_fails(settings, tmp_path, monkeypatch):
    monkeypatch.delenv("SECRET_KEY", raising=False)
    settings.DATA_DIR = tmp_path
    (tmp_path / "secret-key").touch(mode=0o644)

    assert "chmod 600" in amiss("settings")


@db
@pytest.mark.parametrize(("ahead", "status"), [(30, "warn"), (-300, "fail")])
def test_a_clock_that_is_out_of_step_is_told(ahead, status, monkeypatch):
    off = SimpleNamespace(time=lambda: time.time() - ahead, perf_counter=time.perf_counter)
    monkeypatch.setattr(database, "time", off)

    (row,) = doctor("clock")[1]["clock"]

    assert row["status"] == status
    assert f"{abs(ahead)} seconds {'ahead of' if ahead > 0 else 'behind'}" in row["seen"]


def test_a_check_that_hangs_or_breaks_is_a_finding():
    end = threading.Event()

    def hangs():
        yield ok("so far")
        end.wait(30)

    def breaks():
        raise RuntimeError("secret words")

    checks = {"slow": hangs, "broken": breaks, "well": lambda: [ok("fine")]}
    found = list(examine(checks, limit=0.5))
    end.set()

    told = [(name, finding.status, finding.seen) for name, finding in found]
    assert told == [
        ("slow", Status.OK, "so far"),
        ("slow", Status.FAIL, "no end within 0 seconds"),
        ("broken", Status.FAIL, "the check broke: RuntimeError"),
        ("well", Status.OK, "fine"),
    ]
    assert findings.LIMIT > database.CONNECT_SECONDS + model.SECONDS
