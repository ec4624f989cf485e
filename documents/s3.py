"""Files in a bucket of S3 or of a server that speaks as it does. Imported only where one is set."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from shutil import copyfileobj
from tempfile import SpooledTemporaryFile
from typing import Any

from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.core.files.base import File
from storages.backends.s3 import S3Storage

from documents.exceptions import StorageUnreachable

# Seconds. A caller waits for a bucket that is away at most for two attempts of these.
CONNECT_SECONDS = 3
READ_SECONDS = 10
ATTEMPTS = 2
# Bytes. Files beyond it are read by way of a disk.
IN_MEMORY = 1024 * 1024
# Bytes: the most that S3 takes in one request. A file that comes in one is there whole or not at
# all; of one that comes in parts a killed process would leave some that no listing shows.
ONE_REQUEST = 5 * 1024**3


class S3Files(S3Storage):  # type: ignore[misc]
    """django-storages' own, whose errors are those of a disk: OSError, FileNotFoundError."""

    def get_default_settings(self) -> dict[str, Any]:
        """What is the same for every bucket; where it is comes from STORAGE_URL."""
        config = Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
            # Many servers that speak S3 refuse the checksums that AWS alone asks for.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        transfer = TransferConfig(multipart_threshold=ONE_REQUEST, use_threads=False)
        ours = {"client_config": config, "transfer_config": transfer}
        return {**super().get_default_settings(), **ours}

    def _open(self, name: str, mode: str = "rb") -> "File[bytes]":
        """The whole file, fetched now by one request: what is read of it later cannot fail."""
        fetched = SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - the caller's to close
        with _errors_of_a_disk(name):
            copyfileobj(self.bucket.Object(self._normalize_name(name)).get()["Body"], fetched)
        fetched.seek(0)
        return File(fetched, name)

    def _save(self, name: str, content: "File[bytes]") -> str:
        with _errors_of_a_disk(name):
            return str(super()._save(name, content))

    def delete(self, name: str) -> None:
        """Also where there is none."""
        with _errors_of_a_disk(name):
            super().delete(name)

    def exists(self, name: str) -> bool:
        """Whether there is one."""
        with _errors_of_a_disk(name):
            return bool(super().exists(name))

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        """Folders and files; none of a folder that is not there."""
        with _errors_of_a_disk(path):
            folders, files = super().listdir(path)
            return folders, files

    def size(self, name: str) -> int:
        """In bytes."""
        with _errors_of_a_disk(name):
            return int(super().size(name))

    def get_modified_time(self, name: str) -> datetime:
        """When it came."""
        with _errors_of_a_disk(name):
            time: datetime = super().get_modified_time(name)
            return time


@contextmanager
def _errors_of_a_disk(name: str) -> Iterator[None]:
    """Raises FileNotFoundError for a file that is not there, else StorageUnreachable."""
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code in ("404", "NoSuchKey"):  # and not NoSuchBucket
            raise FileNotFoundError(name) from error
        raise StorageUnreachable(f"S3 refuses: {code}") from error
    except BotoCoreError as error:
        raise StorageUnreachable(f"S3 does not answer: {type(error).__name__}") from error
