"""The admin's own history, which names what staff changed by its title or file name."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from django.contrib.admin.models import DELETION, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.db.models import F, QuerySet


def erase(model: type[models.Model], ids: Collection[UUID | Any]) -> int:
    """Takes out the entries about these rows, which are deleted; how many there were."""
    return _about(model, ids).delete()[0]


def erase_words(model: type[models.Model], ids: Collection[UUID | Any]) -> None:
    """The same, but for who deleted them and when, which names them by id from now on."""
    entries = _about(model, ids)
    entries.exclude(action_flag=DELETION).delete()
    entries.update(object_repr=F("object_id"), change_message="")


def _about(model: type[models.Model], ids: Collection[UUID | Any]) -> QuerySet[LogEntry]:
    kind = ContentType.objects.get_for_model(model)
    return LogEntry.objects.filter(content_type=kind, object_id__in=[str(one) for one in ids])
