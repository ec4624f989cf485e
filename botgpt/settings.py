"""Every setting of the product. Variables are documented in `.env.example`, in this order."""

import logging
import os
import secrets
import sys
from pathlib import Path
from typing import Any

import django_stubs_ext
from django.core.checks.security import base
from django.core.exceptions import ImproperlyConfigured
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from botgpt import embedded, env, jobs, storage
from botgpt.api import logs
from botgpt.clock import ClockWatch
from llm import catalogue, tokens

# Lets classes of Django be written with their model, as in QuerySet[Document].
django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent
VERSION = "0.1.0"

# --- Security ---------------------------------------------------------------------------------

DEBUG = env.boolean("DEBUG", default=False)
# Open access trusts every caller. It follows DEBUG, which `make run` sets on loopback only.
OPEN_ACCESS = DEBUG
DATA_DIR = Path(env.text("BOTGPT_DATA_DIR", str(BASE_DIR / ".data"))).absolute()


def _kept_secret(path: Path) -> str:
    """A random key made once for this data folder, readable by its owner alone."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(64))
        try:
            path.hardlink_to(draft)
        except FileExistsError:
            pass  # another process was first: its key is the one to use
        finally:
            draft.unlink()
    return path.read_text()


def _require_strong(secret: str) -> None:
    """Raises ImproperlyConfigured for a secret that Django's `check --deploy` would warn of."""
    weak = (
        len(secret) < base.SECRET_KEY_MIN_LENGTH
        or len(set(secret)) < base.SECRET_KEY_MIN_UNIQUE_CHARACTERS
        or secret.startswith(base.SECRET_KEY_INSECURE_PREFIX)
    )
    if weak:
        least = base.SECRET_KEY_MIN_LENGTH
        raise ImproperlyConfigured(
            f"SECRET_KEY is weak: give it {least} or more random characters."
        )


DATABASE_URL = env.text("DATABASE_URL")
SECRET_KEY = env.text("SECRET_KEY")
if not SECRET_KEY:
    if DATABASE_URL and not DEBUG:
        raise ImproperlyConfigured("SECRET_KEY is not set: give it a long random value.")
    SECRET_KEY = _kept_secret(DATA_DIR / "secret-key")
if not DEBUG:
    _require_strong(SECRET_KEY)

# Loopback is always served: health checks come from there.
ALLOWED_HOSTS = [*env.names("ALLOWED_HOSTS"), "localhost", "127.0.0.1", "[::1]"]
if "*" in ALLOWED_HOSTS and not DEBUG:
    raise ImproperlyConfigured("ALLOWED_HOSTS must name the hosts that are served, not '*'.")
CSRF_TRUSTED_ORIGINS = env.names("CSRF_TRUSTED_ORIGINS")
HTTPS = env.boolean("HTTPS", default=False)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
# Health checks and Prometheus come from inside, past the proxy, by plain HTTP.
SECURE_REDIRECT_EXEMPT = [r"^health(/|$)", r"^metrics$"]
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
X_FRAME_OPTIONS = "DENY"

# Proxies that each add an address to X-Forwarded-For.
NUM_PROXIES = env.integer("NUM_PROXIES", 0)
LOGIN_PAUSE_SECONDS = env.integer("LOGIN_PAUSE_SECONDS", 300, minimum=1)

# --- Django -----------------------------------------------------------------------------------

INSTALLED_APPS = [
    "botgpt.accounts",
    "documents",
    "conversations",
    "procrastinate.contrib.django",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",
    "servestatic.runserver_nostatic",
    "django.contrib.staticfiles",
]

# Django's own are ours by a few lines each (botgpt/middleware.py), which its checks do not see.
MIDDLEWARE = [
    "botgpt.api.request_id.request_id_middleware",
    "botgpt.api.problems.problem_details_middleware",
    "botgpt.middleware.SecurityMiddleware",
    "botgpt.middleware.PolicyMiddleware",
    "botgpt.api.bodies.body_limit_middleware",
    "servestatic.middleware.ServeStaticMiddleware",
    "botgpt.middleware.SessionMiddleware",
    "botgpt.middleware.CommonMiddleware",
    "botgpt.middleware.CsrfViewMiddleware",
    "botgpt.middleware.AuthenticationMiddleware",
    "botgpt.middleware.MessageMiddleware",
    "botgpt.middleware.XFrameOptionsMiddleware",
]
SILENCED_SYSTEM_CHECKS = ["security.W001", "security.W002", "security.W003"]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "botgpt" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

ROOT_URLCONF = "botgpt.urls"
ASGI_APPLICATION = "botgpt.asgi.application"
APPEND_SLASH = False
AUTH_USER_MODEL = "accounts.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("MinimumLengthValidator", "CommonPasswordValidator", "NumericPasswordValidator")
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True

# --- Database and files -----------------------------------------------------------------------


def _address(variable: str) -> dict[str, Any]:
    """The parts of a PostgreSQL address. Raises ImproperlyConfigured, naming the variable."""
    try:
        return dict(conninfo_to_dict(env.text(variable)))
    except ProgrammingError as error:
        raise ImproperlyConfigured(f"{variable} is not a PostgreSQL address.") from error


def _database() -> dict[str, Any]:
    """Django's connection settings from DATABASE_URL, or those of the embedded server."""
    if not DATABASE_URL:
        return dict(embedded.connection(DATA_DIR))
    parts = _address("DATABASE_URL")
    names = {"host": "HOST", "port": "PORT", "dbname": "NAME", "user": "USER"}
    names["password"] = "PASSWORD"  # noqa: S105 - the name of the setting, not a password
    settings: dict[str, Any] = {names[key]: parts.pop(key) for key in names if key in parts}
    return settings | {"OPTIONS": parts}


# Where it is set, DATABASE_URL leads to a pooler that lends connections for a transaction.
DATABASE_DIRECT_URL = env.text("DATABASE_DIRECT_URL")
if DATABASE_DIRECT_URL:
    if not DATABASE_URL:
        raise ImproperlyConfigured("DATABASE_DIRECT_URL needs DATABASE_URL, the pooler's address.")
    _address("DATABASE_DIRECT_URL")
DATABASE_POOL_SIZE = env.integer("DATABASE_POOL_SIZE", 8, minimum=1)
DATABASES: dict[str, Any] = {"default": {"ENGINE": "botgpt.postgresql"} | _database()}
DATABASES["default"].setdefault("OPTIONS", {})["pool"] = {
    "min_size": 1,
    "max_size": DATABASE_POOL_SIZE,
    # Seconds: through a restart of the server, as for others to be done with their connections.
    "timeout": 5,
    # The pool waits ever longer between attempts to connect; after so many seconds the next who
    # wants a connection makes one at once.
    "reconnect_timeout": 2,
}
# Those outlive their transaction, which no pooler allows. What is long is read in pages.
DATABASES["default"]["DISABLE_SERVER_SIDE_CURSORS"] = True

MEDIA_ROOT = DATA_DIR / "files"
STORAGES = {
    "default": storage.backend(env.text("STORAGE_URL")),
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "botgpt" / "static"]
STATIC_ROOT = Path(env.text("STATIC_ROOT", str(DATA_DIR / "static")))
# Without `collectstatic` (on a developer's machine) files come from the packages themselves.
SERVESTATIC_USE_FINDERS = not STATIC_ROOT.is_dir()
SERVESTATIC_AUTOREFRESH = False

# How many a process reads at once: at least two, so that a slow one holds up nobody; each takes a
# connection.
DOCUMENTS_AT_ONCE = env.integer(
    "DOCUMENTS_AT_ONCE",
    max(1, min(max(2, os.cpu_count() or 1), DATABASE_POOL_SIZE - 1)),
    minimum=1,
)
# A worker says so often that it lives: what a dead one did is taken up by another soon.
HEARTBEAT_SECONDS = 1
PROCRASTINATE_ON_APP_READY = "documents.listening.connect"
# Jobs that are done would pile up: what they did is told by their documents.
PROCRASTINATE_WORKER_DEFAULTS = {
    "delete_jobs": "successful",
    "concurrency": DOCUMENTS_AT_ONCE,
    "update_heartbeat_interval": HEARTBEAT_SECONDS,
    "worker_middleware": [ClockWatch(), jobs.in_origin],
}

# --- Limits -----------------------------------------------------------------------------------

# Open access is for one's own machine.
KEY_REQUESTS_A_MINUTE = env.integer("KEY_REQUESTS_A_MINUTE", 0 if OPEN_ACCESS else 60_000)
USER_REQUESTS_A_MINUTE = env.integer("USER_REQUESTS_A_MINUTE", 0 if OPEN_ACCESS else 6_000)
USER_UPLOADS_A_DAY = env.integer("USER_UPLOADS_A_DAY", 0 if OPEN_ACCESS else 1_000)
USER_STORED_BYTES = env.integer("USER_STORED_MB", 0 if OPEN_ACCESS else 10_240) * 1024**2
MAX_BODY_BYTES = env.integer("MAX_BODY_KB", 2048, minimum=16) * 1024
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_BODY_BYTES
MAX_UPLOAD_BYTES = env.integer("MAX_UPLOAD_MB", 10, minimum=1) * 1024 * 1024
MESSAGE_CHARS = env.integer("MESSAGE_CHARS", 32_000, minimum=1)
CONVERSATION_DOCUMENTS = env.integer("CONVERSATION_DOCUMENTS", 1_000, minimum=1)

# --- Documents --------------------------------------------------------------------------------

CHUNK_WORDS = env.integer("CHUNK_WORDS", 220, minimum=20)
CHUNK_OVERLAP_WORDS = env.integer("CHUNK_OVERLAP_WORDS", 40)
if CHUNK_OVERLAP_WORDS * 2 > CHUNK_WORDS:
    raise ImproperlyConfigured("CHUNK_OVERLAP_WORDS must be at most half of CHUNK_WORDS.")
EXTRACTION_SECONDS = env.integer("EXTRACTION_SECONDS", 120, minimum=1)
EXTRACTION_MEMORY_BYTES = env.integer("EXTRACTION_MEMORY_MB", 1024, minimum=128) * 1024 * 1024
DOCUMENT_WAIT_SECONDS = env.integer("DOCUMENT_WAIT_SECONDS", 10)

# --- Conversations ----------------------------------------------------------------------------

AUDIT_DAYS = env.integer("AUDIT_DAYS", 365, minimum=1)

# --- Model ------------------------------------------------------------------------------------

GROQ_API_KEY = env.text("GROQ_API_KEY")
GROQ_BASE_URL = env.text("GROQ_BASE_URL") or None
GROQ_MODEL = env.text("GROQ_MODEL", catalogue.DEFAULT)
GROQ_FALLBACK_MODELS = env.names("GROQ_FALLBACK_MODELS")
GROQ_TIMEOUT_SECONDS = env.integer("GROQ_TIMEOUT_SECONDS", 60, minimum=1)
GROQ_MAX_RETRIES = env.integer("GROQ_MAX_RETRIES", 2)
# After so many failures in a row a model is left alone for so long, then twice as long, and so on.
GROQ_FAILURES = env.integer("GROQ_FAILURES", 5)
GROQ_PAUSE_SECONDS = env.integer("GROQ_PAUSE_SECONDS", 5, minimum=1)
# Writes searches, titles and summaries.
GROQ_SMALL_MODEL = env.text("GROQ_SMALL_MODEL", "openai/gpt-oss-20b")


def _require_known_models() -> None:
    """Raises ImproperlyConfigured, naming the variable."""
    named = {"GROQ_MODEL": [GROQ_MODEL], "GROQ_SMALL_MODEL": [GROQ_SMALL_MODEL]}
    named["GROQ_FALLBACK_MODELS"] = GROQ_FALLBACK_MODELS
    for variable, names in named.items():
        try:
            for name in names:
                catalogue.find(name)
        except catalogue.UnknownModel as error:
            raise ImproperlyConfigured(f"{variable}: {error}") from None


_require_known_models()
GROQ_REWRITE_SECONDS = env.integer("GROQ_REWRITE_SECONDS", 3, minimum=1)
ANSWER_TOKENS = env.integer("ANSWER_TOKENS", 2048, minimum=16)
CONTEXT_TOKENS = env.integer("CONTEXT_TOKENS", 16_000, minimum=1024)
if ANSWER_TOKENS * 2 > CONTEXT_TOKENS:
    raise ImproperlyConfigured("ANSWER_TOKENS must be at most half of CONTEXT_TOKENS.")
PASSAGES = env.integer("PASSAGES", 6, minimum=1)
ON_DISCONNECT = env.choice("ON_DISCONNECT", "finish", ("finish", "stop"))
tokens.use_cache(DATA_DIR / "encodings")

# --- Retention --------------------------------------------------------------------------------

RETENTION_DAYS = env.integer("RETENTION_DAYS", 0)
DOCUMENT_RETENTION_DAYS = env.integer("DOCUMENT_RETENTION_DAYS", 0)
TRACE_RETENTION_DAYS = env.integer("TRACE_RETENTION_DAYS", 0)

# --- API --------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["botgpt.accounts.authentication.CallerAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": [
        "botgpt.accounts.authentication.IsCaller",
        "botgpt.accounts.scopes.HasScope",
    ],
    "DEFAULT_THROTTLE_CLASSES": ["botgpt.api.throttling.RateThrottle"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "botgpt.api.negotiation.Negotiation",
    "DEFAULT_PARSER_CLASSES": ["botgpt.api.parsers.BoundedJSONParser"],
    "DEFAULT_PAGINATION_CLASS": "botgpt.api.pagination.PageAndLimit",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "botgpt.api.problems.exception_handler",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
    "NUM_PROXIES": NUM_PROXIES,
    "URL_FORMAT_OVERRIDE": None,  # the Accept header chooses, no `?format=`
}

SPECTACULAR_SETTINGS = {
    "TITLE": "BOT GPT",
    "DESCRIPTION": (
        "Conversations with a language model, open or grounded in your own documents. "
        "Errors are problem details (RFC 9457); `user_id` is a UUID of your choice that keeps "
        "each user's conversations and documents apart."
    ),
    "VERSION": VERSION,
    "OAS_VERSION": "3.1.1",
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {"persistAuthorization": True, "tryItOutEnabled": True},
    "REDOC_UI_SETTINGS": {},  # any would be a script inside the page
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "DocumentStatus": "documents.models.Document.Status",
        "MessageStatus": "conversations.models.Message.Status",
        "MessageRole": "conversations.models.Message.Role",
        "ConversationMode": "conversations.models.Conversation.Mode",
        "ConversationGrounding": "conversations.models.Conversation.Grounding",
        "AnswerGrounding": "conversations.models.Message.Grounding",
        "QueryRewriting": "conversations.models.Conversation.Rewriting",
        "ReplayedRewriting": "conversations.answer_serializers.REPLAYED",
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "botgpt.api.schema.add_problem_responses",
        "botgpt.api.schema.add_idempotency_key",
        "botgpt.api.schema.add_links",
        "botgpt.api.schema.add_health",
    ],
}

# --- Operating --------------------------------------------------------------------------------

LOG_LEVEL = env.text("LOG_LEVEL", "INFO").upper()
if LOG_LEVEL not in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"):
    raise ImproperlyConfigured("LOG_LEVEL must be DEBUG, INFO, WARNING, ERROR or CRITICAL.")
LOG_FORMAT = env.choice("LOG_FORMAT", "text", ("text", "json"))
if LOG_FORMAT == "json":  # what Python itself would write in lines of its own
    logging.captureWarnings(True)
    sys.excepthook = logs.uncaught
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "text": {"()": "botgpt.api.logs.LineFormatter"},
        "json": {"()": "botgpt.api.logs.JSONFormatter"},
    },
    "filters": {"client_mistakes": {"()": "botgpt.api.logs.ClientMistakes"}},
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": LOG_FORMAT,
            "filters": ["client_mistakes"],
        }
    },
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    "loggers": {
        "django": {"handlers": [], "propagate": True},
        # The request line below says the same with its duration and id.
        "django.request": {"level": "ERROR"},
        "django.server": {"handlers": [], "propagate": True},
        "httpx": {"level": "WARNING"},
        "groq": {"level": "WARNING"},
        "procrastinate": {"level": "WARNING"},
    },
}

# Who may read /metrics; without it staff who see the whole dashboard, or everyone where access is
# open.
METRICS_TOKEN = env.text("METRICS_TOKEN")
# Where processes of one machine keep their numbers for each other.
METRICS_DIR = Path(env.text("METRICS_DIR", str(DATA_DIR / "metrics"))).absolute()
METRICS_PORT = env.integer("METRICS_PORT", 0)

OTEL_EXPORTER_OTLP_ENDPOINT = env.text("OTEL_EXPORTER_OTLP_ENDPOINT")
OTEL_SERVICE_NAME = env.text("OTEL_SERVICE_NAME", "botgpt")
if OTEL_EXPORTER_OTLP_ENDPOINT:
    MIDDLEWARE.insert(1, "botgpt.tracing.trace_middleware")
