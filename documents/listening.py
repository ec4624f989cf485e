"""How workers reach the queue: they listen for new jobs, which no pooler lets through."""

from typing import Any

from django.conf import settings
from procrastinate import App
from procrastinate.connector import BaseAsyncConnector
from procrastinate.contrib.django.django_connector import DjangoConnector
from procrastinate.psycopg_connector import PsycopgConnector


class QueueConnector(DjangoConnector):
    """Jobs are deferred by Django's connection, within its transaction, and done by another."""

    def get_worker_connector(self) -> BaseAsyncConnector:
        """Straight to the database, where DATABASE_URL leads to a pooler."""
        if not settings.DATABASE_DIRECT_URL:
            return super().get_worker_connector()
        address: dict[str, Any] = {"conninfo": settings.DATABASE_DIRECT_URL}
        return PsycopgConnector(**address, kwargs={"client_encoding": "UTF8"})


def connect(app: App) -> None:
    """Called by procrastinate when it is ready."""
    app.connector = app.job_manager.connector = QueueConnector()
