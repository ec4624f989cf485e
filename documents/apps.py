"""The documents app: upload, ingestion and retrieval."""

from django.apps import AppConfig


class DocumentsConfig(AppConfig):
    """Registers the app as `documents`."""

    name = "documents"
