"""How workers reach the queue: they listen for new jobs, which no pooler lets through."""

import logging
import time
from typing import Any

import psycopg
from django.conf import settings
from django.db import OperationalError, connection
from procrastinate import App
from procrastinate.connector import BaseAsyncConnector
from procrastinate.contrib.django.django_connector import DjangoConnector
from procrastinate.contrib.django.utils import connector_params
from procrastinate.psycopg_connector import PsycopgConnector

logger = logging.getLogger(__name__)

WAIT_SECONDS = 30
PAUSE_SECONDS = 1


class QueueConnector(DjangoConnector):
    """Jobs are deferred by Django's connection, within its transaction, and done by another."""

    def get_worker_connector(self) -> BaseAsyncConnector:
        """Its pool is as patient as Django's: a worker without its database ends, to begin anew."""
        conninfo, options = address()
        pool = settings.DATABASES["default"]["OPTIONS"]["pool"]
        patience = {name: pool[name] for name in ("timeout", "reconnect_timeout")}
        return PsycopgConnector(conninfo=conninfo, kwargs=options, **patience)


def address() -> tuple[str, dict[str, Any]]:
    """What psycopg connects with: straight to the database, where DATABASE_URL is a pooler's."""
    if settings.DATABASE_DIRECT_URL:
        return settings.DATABASE_DIRECT_URL, {"client_encoding": "UTF8"}
    return "", connector_params()


def wait_for_database() -> None:
    """For half a minute; raises OperationalError when it has not answered by then.

    A pool that is opened without its database waits ever longer between attempts, or gives up.
    """
    conninfo, options = address()
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            with connection.wrap_database_errors:
                psycopg.connect(conninfo, **options).close()
        except OperationalError:
            if time.monotonic() > deadline:
                raise
            logger.warning("the database does not answer yet")
            time.sleep(PAUSE_SECONDS)
        else:
            return


def connect(app: App) -> None:
    """Called by procrastinate when it is ready."""
    app.connector = app.job_manager.connector = QueueConnector()
