"""Settings: each is documented, in order, and refused where malformed."""

import os
import re
import subprocess
import sys

import pytest

from tests.launch.test_launch import ROOT

STRONG = "only-for-tests-0123456789-abcdefghijklmnopqrstuvwxyz"
READ = re.compile(r'env\.(?:text|integer|choice|boolean|names)\(\s*"([A-Z_]+)"')


def documented():
    lines = (ROOT / ".env.example").read_text().splitlines()
    return [line.split("=")[0] for line in lines if re.match(r"[A-Z_]+=", line)]


def read_by(path):
    return list(dict.fromkeys(READ.findall((ROOT / path).read_text())))


def test_every_variable_read_is_documented_and_no_other():
    ours = set(read_by("botgpt/settings.py")) | set(read_by("botgpt/launch.py"))

    assert set(documented()) == ours | {"HOST", "POSTGRES_PASSWORD"}


def check(program="import botgpt.settings", **variables):
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **variables},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DEBUG", "perhaps"),
        ("ALLOWED_HOSTS", "bot.example.org,*"),
        ("DATABASE_DIRECT_URL", "postgresql://localhost/x"),
        ("STORAGE_URL", "https://bucket.s3.example.org"),
        ("STORAGE_URL", "s3:///folder"),
        ("STORAGE_URL", "s3://key:secret@bucket"),
        ("STORAGE_URL", "s3://bucket?region=eu-central-1"),
        ("CHUNK_WORDS", "many"),
        ("CHUNK_WORDS", "1"),
        ("CHUNK_OVERLAP_WORDS", "200"),
        ("DATABASE_URL", "mysql://x"),
        ("ANSWER_TOKENS", "99999999"),
        ("GROQ_MODEL", "gpt-4"),
        ("GROQ_SMALL_MODEL", "gpt-4"),
        ("LOG_LEVEL", "LOUD"),
    ],
)
def test_a_malformed_variable_is_refused_at_start_by_name(tmp_path, variable, value):
    done = check(BOTGPT_DATA_DIR=str(tmp_path), SECRET_KEY=STRONG, **{variable: value})

    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert "ImproperlyConfigured" in last
    assert variable in last


def test_a_real_database_needs_a_real_secret(tmp_path):
    done = check(BOTGPT_DATA_DIR=str(tmp_path), DATABASE_URL="postgresql://localhost/x")

    assert "SECRET_KEY is not set" in done.stderr


@pytest.mark.parametrize(
    "secret",
    [
        STRONG[:49],
        "abcd" * 20,
        "django-insecure-0123456789-abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJK",
    ],
    ids=["short", "repeated", "default"],
)
def test_a_weak_secret_is_refused_unless_debugging(tmp_path, secret):
    variables = {"BOTGPT_DATA_DIR": str(tmp_path), "SECRET_KEY": secret}

    assert "SECRET_KEY is weak" in check(**variables).stderr
    assert check(**variables, DEBUG="true").returncode == 0


def test_any_host_is_served_only_while_debugging(tmp_path):
    assert check(BOTGPT_DATA_DIR=str(tmp_path), ALLOWED_HOSTS="*", DEBUG="true").returncode == 0


@pytest.mark.parametrize(("debug", "is_open"), [("", False), ("false", False), ("true", True)])
def test_access_is_open_only_while_debugging(tmp_path, debug, is_open):
    show = "import botgpt.settings as s; print(s.OPEN_ACCESS)"

    done = check(show, BOTGPT_DATA_DIR=str(tmp_path), DEBUG=debug)

    assert done.stdout.strip() == str(is_open)


STORAGE = "from django.core.files.storage import default_storage; default_storage.exists"
ANSWERING = "from botgpt import asgi; from conversations import provider; provider.answering()"


@pytest.mark.parametrize(
    ("use", "package", "setting", "loaded"),
    [
        (STORAGE, "boto3", {"STORAGE_URL": ""}, False),
        (STORAGE, "boto3", {"STORAGE_URL": "s3://bucket"}, True),
        (ANSWERING, "groq", {"GROQ_API_KEY": ""}, False),
        (ANSWERING, "groq", {"GROQ_API_KEY": "gsk_test"}, True),
    ],
)
def test_what_takes_long_to_load_is_loaded_only_where_it_is_used(
    tmp_path, use, package, setting, loaded
):
    show = f"import sys, django; django.setup(); {use}; print({package!r} in sys.modules)"
    named = {"DJANGO_SETTINGS_MODULE": "botgpt.settings", **setting}

    done = check(show, BOTGPT_DATA_DIR=str(tmp_path), **named)

    assert done.stdout.strip() == str(loaded), done.stderr


def test_the_embedded_databases_secret_is_made_once_and_private(tmp_path):
    assert check(BOTGPT_DATA_DIR=str(tmp_path)).returncode == 0
    first = (tmp_path / "secret-key").read_text()
    assert check(BOTGPT_DATA_DIR=str(tmp_path)).returncode == 0

    assert (tmp_path / "secret-key").read_text() == first
    assert (tmp_path / "secret-key").stat().st_mode & 0o077 == 0
