"""`manage.py feedback_questions`: thumbs-down with the right place, as questions for `evaluate`."""

import json
from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from conversations.models import Feedback
from documents.explained import ExplainedCommand


class Command(ExplainedCommand):
    """Prints one JSON object a line."""

    help = (
        "Write the questions that users rated down, with the document and page that hold the "
        "right answer, as JSON Lines for manage.py evaluate."
    )
    examples = """
manage.py feedback_questions > questions.jsonl
manage.py feedback_questions --user 5e0f2a4e-5c0f-4d8e-9d0a-2f6f0e9b1c11
"""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declares --user."""
        parser.add_argument("--user", type=UUID, help="only this user's")

    def handle(self, *args: Any, **options: Any) -> None:
        """A follow-up is written as it was searched for, so that it can be asked alone."""
        found: Any = Feedback.objects.questions(options["user"])
        rows = found.iterator()
        # On a terminal the lines themselves show that it goes on.
        for feedback in rows if self.stdout.isatty() else self.progress(options, rows):
            line = {
                "id": str(feedback.message_id),
                "question": feedback.question,
                "document": feedback.document.name,
                "document_id": str(feedback.document_id),
                "pages": [feedback.page],
            }
            self.stdout.write(json.dumps(line, ensure_ascii=False))
