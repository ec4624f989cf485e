"""Whose objects a caller may see: the one rule that every query of the API goes through."""

from typing import Any, ClassVar, Self, TypeVar
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db import models

M = TypeVar("M", bound=models.Model)


class OwnedQuerySet(models.QuerySet[M]):
    """Sets of rows that belong to a user, as they are reached by `owner`."""

    owner: ClassVar = "user"

    def visible_to(self, user_id: UUID | None) -> Self:
        """One user's; everyone's where no user is named."""
        return self if user_id is None else self.filter(**{self.owner: user_id})


def user_called(text: str) -> Any:
    """The user of that UUID or name, as staff type it; None where there is none."""
    name = text.replace("\0", "").strip()
    users = get_user_model().objects
    pk = as_uuid(name)
    return (pk and users.filter(pk=pk).first()) or users.filter(username=name).first()


def as_uuid(text: str) -> UUID | None:
    """The UUID that staff typed or an address holds; None where it is none."""
    try:
        return UUID(text)
    except ValueError:
        return None
