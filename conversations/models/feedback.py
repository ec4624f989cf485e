"""What users think of answers."""

from typing import Any, ClassVar
from uuid import UUID

from django.db import models
from django.db.models.functions import Coalesce

from conversations.models.message import Message
from documents.models import Document


class FeedbackQuerySet(models.QuerySet["Feedback"]):
    """Sets of feedback."""

    def questions(self, user_id: UUID | None) -> "FeedbackQuerySet":
        """Rated down, with the right document and page: of one user, or of all.

        Each has a `question`: what was searched for, or else what was asked. One query.
        """
        wrong = self.filter(rating=Feedback.Rating.DOWN, document__isnull=False, page__isnull=False)
        if user_id is not None:
            wrong = wrong.filter(message__conversation__user_id=user_id)
        question = Coalesce("message__retrieval__query", "message__parent__content")
        return wrong.annotate(question=question).select_related("document").order_by("created_at")


class Feedback(models.Model):
    """What the user thought of an answer, and where the right one stands."""

    class Rating(models.TextChoices):
        """Thumbs up or down."""

        UP = "up"
        DOWN = "down"

    message = models.OneToOneField(
        Message, on_delete=models.CASCADE, primary_key=True, related_name="feedback"
    )
    rating = models.CharField(max_length=4, choices=Rating)
    comment = models.TextField(blank=True)
    document = models.ForeignKey(
        Document,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="feedback",
        help_text="Where the right answer stands.",
    )
    page = models.PositiveIntegerField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects: ClassVar[Any] = FeedbackQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-updated_at"]
        indexes: ClassVar = [models.Index(fields=["-updated_at"], name="feedback_newest")]
        verbose_name_plural = "feedback"

    def __str__(self) -> str:
        return self.rating
