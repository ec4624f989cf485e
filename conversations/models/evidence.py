"""What answers rest on: their citations and their searches."""

from typing import Any, ClassVar

from django.db import models
from uuid_utils.compat import uuid7

from documents.models import NAME_CHARS, Document
from documents.ownership import OwnedQuerySet


class CitationQuerySet(OwnedQuerySet["Citation"]):
    """Sets of citations."""

    owner: ClassVar = "message__conversation__user"


class Citation(models.Model):
    """The passage that an answer's [n] stands for, as it was when it was cited."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    message = models.ForeignKey(
        "conversations.Message", on_delete=models.CASCADE, related_name="citations"
    )
    number = models.PositiveIntegerField(help_text="The n of [n] in the answer.")
    document = models.ForeignKey(
        Document, on_delete=models.SET_NULL, null=True, related_name="citations"
    )
    chunk_id = models.UUIDField()
    document_name = models.CharField(max_length=NAME_CHARS)
    section = models.CharField(max_length=NAME_CHARS, blank=True)
    page = models.PositiveIntegerField()
    char_start = models.PositiveIntegerField(help_text="Where the quote begins in the page's text.")
    char_end = models.PositiveIntegerField()
    quote = models.TextField()
    score = models.FloatField(help_text="Comparable within one answer.")
    verified = models.BooleanField(
        default=False, help_text="When saved, the quote stood at its place in the page's text."
    )

    objects: ClassVar[Any] = CitationQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["message", "number"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["message", "number"], name="citation_once_an_answer")
        ]

    def __str__(self) -> str:
        return f"[{self.number}] {self.document_name}, page {self.page}"


class Retrieval(models.Model):
    """What was searched for before an answer, and what became of each candidate."""

    message = models.OneToOneField(
        "conversations.Message",
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="retrieval",
    )
    question = models.TextField(help_text="As the user asked it.")
    query = models.TextField(help_text="What was searched for, in one text.")
    searches = models.JSONField(help_text="Each search as a list of texts with their weights.")
    query_rewriting = models.CharField(max_length=10, help_text="As the conversation had it.")
    rewriting = models.CharField(max_length=10, help_text="What the searches came from.")
    rewrite_model = models.CharField(max_length=100, blank=True)
    rewrite_prompt_tokens = models.PositiveIntegerField(default=0)
    rewrite_completion_tokens = models.PositiveIntegerField(default=0)
    rewrite_failure = models.CharField(max_length=40, blank=True)
    rewrite_ms = models.PositiveIntegerField(default=0)
    limit = models.PositiveIntegerField(help_text="Passages wanted.")
    candidates = models.JSONField()
    duration_ms = models.PositiveIntegerField(help_text="Of the search.")
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.query
