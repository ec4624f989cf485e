"""The conversations app: messages, answers and citations."""

from django.apps import AppConfig


class ConversationsConfig(AppConfig):
    """Registers the app as `conversations`."""

    name = "conversations"

    def ready(self) -> None:
        """Documents know no answers: they say when nothing may quote them any longer."""
        from conversations import quotes
        from documents.models import quotes_to_erase

        quotes_to_erase.connect(quotes.erase)
