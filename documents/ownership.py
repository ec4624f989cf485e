"""Whose objects a caller may see: the one rule that every query of the API goes through."""

from typing import ClassVar, Self, TypeVar
from uuid import UUID

from django.db import models

M = TypeVar("M", bound=models.Model)


class OwnedQuerySet(models.QuerySet[M]):
    """Sets of rows that belong to a user, as they are reached by `owner`."""

    owner: ClassVar = "user"

    def visible_to(self, user_id: UUID | None) -> Self:
        """One user's; everyone's where no user is named."""
        return self if user_id is None else self.filter(**{self.owner: user_id})
