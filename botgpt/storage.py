"""STORAGE_URL as Django has it: s3://bucket/folder?endpoint_url=https://...&region_name=..."""

from typing import Any
from urllib.parse import parse_qsl, urlsplit

from django.core.exceptions import ImproperlyConfigured

# What the address may tell besides. Keys are none of it: addresses are shown.
OPTIONS = {"endpoint_url", "region_name"}
SHAPE = "STORAGE_URL must look like s3://bucket/folder?endpoint_url=https://s3.example.org"


def backend(url: str) -> dict[str, Any]:
    """The entry of STORAGES: files in a bucket or, without an address, in MEDIA_ROOT.

    Raises ImproperlyConfigured.
    """
    if not url:
        return {"BACKEND": "django.core.files.storage.FileSystemStorage"}
    try:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, strict_parsing=True)) if parts.query else {}
    except ValueError:
        raise ImproperlyConfigured(f"{SHAPE}.") from None
    if parts.scheme != "s3" or not parts.netloc or {*parts.netloc} & {*"@:"}:
        raise ImproperlyConfigured(f"{SHAPE}.")
    if unknown := sorted(options.keys() - OPTIONS):
        raise ImproperlyConfigured(f"{SHAPE}: {unknown[0]} is unknown.")
    place = {"bucket_name": parts.netloc, "location": parts.path.strip("/")}
    return {"BACKEND": "documents.s3.S3Files", "OPTIONS": {**place, **options}}
