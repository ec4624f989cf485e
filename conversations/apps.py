"""The conversations app: messages, answers and citations."""

from django.apps import AppConfig


class ConversationsConfig(AppConfig):
    """Registers the app as `conversations`."""

    name = "conversations"
