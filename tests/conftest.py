"""What every test gets: open access, files in a folder of its own, and no key unless scripted."""

import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from django.db import connection
from django.test import Client
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from botgpt.accounts.models import User
from conversations import live
from documents.models import Document
from tests.factories import make_document, make_user
from tests.fake_groq import FakeGroq

# Made with the schema, and of no test.
OF_THE_SCHEMA = {"auth_permission", "django_content_type"}
# Files and folders that take longest, with whose last test no process should be left alone.
LONGEST = [
    *("launch/test_faults.py", "page", "launch/test_survival.py", "api/test_any_input.py"),
    *("commands/test_chat.py", "docs", "launch", "browser", "openai/test_sdks.py"),
]
# A server, or a browser, for all files of a folder.
TOGETHER = ["tests/page/"]
SAMPLES = Path(__file__).parents[2] / "shared" / "data"


class Together(LoadFileScheduling):
    """A file's tests run in one process, which makes what they share once."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return next((folder for folder in TOGETHER if file.startswith(folder)), file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Together:
    """Who says which process runs what."""
    return Together(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Puts the longest first."""
    here = Path(__file__).parent

    def place(item: pytest.Item) -> int:
        path = item.path.relative_to(here)
        names = (path.as_posix(), *(folder.as_posix() for folder in path.parents))
        return next((LONGEST.index(name) for name in names if name in LONGEST), len(LONGEST))

    yield
    # Last, for pytest-django puts tests without a database behind all others.
    items.sort(key=place)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker):
    """A database that waits for no disk, and is emptied in a millisecond where a test commits."""
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        name = connection.ops.quote_name(connection.settings_dict["NAME"])
        cursor.execute(f"ALTER DATABASE {name} SET synchronous_commit TO off")
    connection.close()
    connection.close_pool()  # its connections were made before
    connection.ops.sql_flush = deletions


def deletions(style, tables, *, reset_sequences=False, allow_cascade=False) -> list[str]:
    """In place of TRUNCATE, which writes new files for every table and index."""
    emptied = sorted(set(tables) - OF_THE_SCHEMA)
    as_retention = "SET LOCAL botgpt.audit = 'retention'"  # or the audit trail would be kept
    rows = [f"DELETE FROM {connection.ops.quote_name(table)}" for table in emptied]
    return ["; ".join([as_retention, *rows])]


@pytest.fixture(autouse=True)
def _settings(settings, tmp_path):
    settings.OPEN_ACCESS = True
    # The real one takes a third of a second on purpose, each time that an administrator is made.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    # Looking for all static files takes longer than most tests do, and each client does it anew.
    settings.SERVESTATIC_USE_FINDERS = settings.SERVESTATIC_USE_STATIC_ROOT = False
    settings.GROQ_API_KEY = ""
    settings.MEDIA_ROOT = tmp_path / "files"
    settings.DOCUMENT_WAIT_SECONDS = 0
    for limit in ("KEY_REQUESTS_A_MINUTE", "USER_REQUESTS_A_MINUTE"):
        setattr(settings, limit, 0)
    settings.USER_UPLOADS_A_DAY = settings.USER_STORED_BYTES = 0
    # Tests count queries: no sign of life comes in between.
    live._last_sign[live.process_id()] = time.monotonic()


@pytest.fixture
def user_id() -> UUID:
    """A user as the calling product knows them."""
    return UUID("5e0f2a4e-5c0f-4d8e-9d0a-2f6f0e9b1c11")


@pytest.fixture
def user(user_id: UUID) -> User:
    """That user, known to the product."""
    return make_user(user_id)


@pytest.fixture
def document(user: User) -> Document:
    """A document of theirs, ready to be asked about."""
    return make_document(user)


@pytest.fixture
def api() -> Client:
    """Calls the API; an error inside it is an answer, as it is for real callers."""
    return Client(raise_request_exception=False)


@pytest.fixture
def groq(settings) -> Iterator[FakeGroq]:
    """A model behind the real SDK."""
    with FakeGroq() as fake:
        settings.GROQ_API_KEY = "gsk_test"
        settings.GROQ_BASE_URL = fake.url
        settings.GROQ_TIMEOUT_SECONDS = 5
        settings.GROQ_MAX_RETRIES = 0
        yield fake


@pytest.fixture
def sample():
    """The path of a real document; skips where the samples are not laid out."""

    def find(name: str) -> Path:
        path = SAMPLES / "pdf" / name
        if not path.exists():
            pytest.skip(f"needs {name} in ../shared/data/pdf")
        return path

    return find
