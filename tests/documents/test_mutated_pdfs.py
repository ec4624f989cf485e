"""Broken PDFs end as ready or failed with a reason, within their limits, and leave nothing.

A few in every run; `make fuzz` reads thousands. A failure names the seed of its variant.
"""

import os
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from django.core.management import call_command

from documents.extraction import DETAILS, ExtractionError
from documents.extraction.guard import extract
from documents.models import Chunk, Document
from tests.conftest import SAMPLES
from tests.documents.mutations import bases, mutate
from tests.factories import make_user, upload

SEED = int(os.environ.get("FUZZ_SEED", "1"))
VARIANTS = int(os.environ.get("FUZZ_VARIANTS", "40"))
# Of these one in so many goes the whole way, through upload and worker.
WHOLE_WAY = 10

MEMORY = 512 << 20
SECONDS = 10.0
# What ending a reader may take on a busy machine.
GRACE = 5.0


@pytest.fixture(scope="module")
def variants() -> list[tuple[int, bytes]]:
    """Seeds, and the variants that they tell."""
    if not (SAMPLES / "pdf").is_dir():
        pytest.skip("needs the sample PDFs in ../shared/data/pdf")
    found = bases(SAMPLES / "pdf")
    seeds = range(SEED * 1_000_000, SEED * 1_000_000 + VARIANTS)
    return [(seed, mutate(found[seed % len(found)], seed)) for seed in seeds]


def test_every_variant_is_read_or_refused_with_a_reason(
    variants, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = tmp_path / "temporary"
    left.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(left))

    def read(variant: tuple[int, bytes]) -> str:
        seed, content = variant
        path = tmp_path / f"{seed}.pdf"
        path.write_bytes(content)
        started = time.monotonic()
        try:
            pages = extract(path, "pdf", memory_bytes=MEMORY, seconds=SECONDS).pages
            for page in pages:
                assert "\0" not in page, seed
                page.encode()  # no lone surrogates
            return "read"
        except ExtractionError as error:
            return error.code if error.detail else f"{error.code} of {seed} without a detail"
        except Exception as error:
            raise AssertionError(f"variant {seed}") from error
        finally:
            assert time.monotonic() - started < SECONDS + GRACE, seed
            path.unlink()

    with ThreadPoolExecutor(2) as pool:
        ends = Counter(pool.map(read, variants))

    print(f"\n{len(variants)} variants from seed {variants[0][0]}: {dict(ends)}")
    assert set(ends) <= {"read", *DETAILS}
    assert ends["read"] > 0
    assert ends["damaged"] > 0
    assert not readers()
    assert list(left.iterdir()) == []


@pytest.mark.django_db(transaction=True)
def test_every_variant_uploaded_is_ready_or_failed_with_a_reason(variants, api, user_id) -> None:
    make_user(user_id)
    sent = variants[::WHOLE_WAY]
    answers = Counter(
        upload(api, content, user_id=user_id, name=f"{seed}.pdf").status_code
        for seed, content in sent
    )
    assert set(answers) <= {200, 201, 415}

    call_command("procrastinate", "worker", "--one-shot", "--no-listen-notify")

    ends = Counter()
    for document in Document.objects.all():
        assert document.status in ("ready", "failed"), document.name
        if document.status == "failed":
            assert document.error, document.name
            assert document.error_code not in ("internal_error", "interrupted"), document.name
            assert not Chunk.objects.filter(document=document).exists(), document.name
        ends[document.error_code or document.status] += 1
    print(f"\n{len(sent)} uploads: {dict(answers)}, then {dict(ends)}")
    assert ends["ready"] > 0
    assert not readers()


def readers() -> list[psutil.Process]:
    """Readers of ours that live on."""
    return [
        child
        for child in psutil.Process().children(recursive=True)
        if "documents.extraction.reader" in " ".join(child.cmdline())
    ]
