"""Keys of rows as times: they are UUIDv7, whose first bits tell when they were made."""

from datetime import datetime
from uuid import UUID


def first_id(moment: datetime) -> UUID:
    """No UUIDv7 made from this moment on is less (RFC 9562): the keys' index finds what is old."""
    return UUID(int=int(moment.timestamp() * 1000) << 80)
