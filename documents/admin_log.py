"""The admin's own history, which names what staff changed by its title or file name."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import models


def erase(model: type[models.Model], ids: Collection[UUID | Any]) -> int:
    """Takes out the entries about these rows, which are deleted; how many there were."""
    kind = ContentType.objects.get_for_model(model)
    about = LogEntry.objects.filter(content_type=kind, object_id__in=[str(one) for one in ids])
    return about.delete()[0]
