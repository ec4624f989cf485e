"""What can be wrong with documents and with calls sent twice, as the API tells it."""

from datetime import UTC, datetime
from typing import Self

from rest_framework.exceptions import APIException, NotFound


class FileTooLarge(APIException):
    """The upload is over the limit."""

    status_code = 413
    default_code = "file_too_large"

    @classmethod
    def beyond(cls, limit: int) -> Self:
        """For a file of more than so many bytes."""
        return cls(f"The file is larger than {limit // 1024**2} MB: split or compress it.")


class TooManyUploads(APIException):
    """The user has uploaded as many documents as a day allows; `wait` is in seconds."""

    status_code = 429
    default_code = "upload_limit_exceeded"

    def __init__(self, limit: int, resets_at: datetime) -> None:
        """`resets_at` is when the next day begins."""
        told = f"{resets_at:%Y-%m-%dT%H:%M:%SZ}"
        super().__init__(
            f"This user may upload {limit:,} documents a day. The next day begins at {told}."
        )
        self.wait = (resets_at - datetime.now(UTC)).total_seconds()
        self.extra = {"resets_at": told}


class UserStorageFull(APIException):
    """The user's documents would take more than they may."""

    status_code = 413
    default_code = "user_storage_full"


class UnsupportedFile(APIException):
    """The upload is neither PDF nor text."""

    status_code = 415
    default_code = "unsupported_file"
    default_detail = "The file is neither a PDF nor plain text: convert it to one of them."


class DocumentsNotReady(APIException):
    """The documents of a question cannot be searched now."""

    status_code = 409
    default_code = "documents_not_ready"

    def __init__(self, detail: str, *, may_pass: bool = False) -> None:
        """`may_pass` says that waiting may help."""
        super().__init__(detail)
        self.may_pass = may_pass


class CallUnderWay(APIException):
    """The same call, with the same key, is being answered."""

    status_code = 409
    default_code = "idempotent_call_under_way"
    default_detail = "The first call with this Idempotency-Key is still under way: try again."
    wait = 1


class KeyReused(APIException):
    """One key for two different calls."""

    status_code = 422
    default_code = "idempotency_key_reused"
    default_detail = "This Idempotency-Key was sent with another call: give each call its own."


class MadeAndDeleted(NotFound):
    """The same call was made, and what came of it is there no longer."""

    default_detail = "What the first call with this Idempotency-Key made was deleted."


class DocumentUnderWay(APIException):
    """The document waits to be read already, or is being read."""

    status_code = 409
    default_code = "document_under_way"
    default_detail = "The document is being read: wait until it is ready or failed."


class DatabaseAway(APIException):
    """The database cannot be reached, or takes nothing now."""

    status_code = 503
    default_code = "database_unavailable"
    default_detail = "The database does not answer or is full: try again in a moment."
    wait = 2


class StorageUnreachable(OSError):
    """Where files are kept does not answer, or refuses us: what a disk would tell as an OSError."""


class StorageAway(APIException):
    """That, as the API tells it."""

    status_code = 503
    default_code = "storage_unavailable"
    default_detail = "The files cannot be reached now: nothing was lost. Try again in a moment."
    wait = 5


class FileLost(APIException):
    """A document's file is not where it was kept."""

    status_code = 404
    default_code = "file_lost"
    default_detail = "The document's file is lost; its text is there. Upload the file again."


class StorageFull(APIException):
    """There is no room for a file."""

    status_code = 503
    default_code = "storage_full"
    default_detail = "There is no room to keep the file: nothing of it was kept. Try again later."
    wait = 60
