"""Documents, their chunks, and the posting lists that retrieval reads."""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import PurePosixPath
from typing import IO, Any, ClassVar
from uuid import UUID

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.files import File
from django.db import IntegrityError, connection, models, transaction
from django.db.models import Case, Q, Value, When
from django.db.models.functions import Substr
from django.dispatch import Signal
from uuid_utils.compat import uuid7

from documents import admin_log
from documents.connections import give_connection_back
from documents.extraction.text import clean
from documents.idempotency import IdempotentCall as IdempotentCall
from documents.ownership import OwnedQuerySet
from documents.rates import Rate as Rate
from llm.passages import Stretch, stretches

NAME_CHARS = 255
HASH_BLOCK = 1024 * 1024

# Jobs that name a document: one under way ends by itself soon, and is deleted then.
FORGET_JOBS = """
DELETE FROM procrastinate_jobs
WHERE status <> 'doing' AND args ->> 'document_id' = ANY(%(ids)s)
"""

# Sent in the transaction that deletes documents, before it does, where nothing may go on quoting
# them; `ids` are theirs.
quotes_to_erase = Signal()


def stored_name(document: "Document", name: str) -> str:
    """A random place for the file: the uploader's name never becomes a path."""
    return f"documents/{document.pk.hex[-2:]}/{document.pk.hex}.{document.kind}"


def display_name(name: str) -> str:
    """The uploader's file name without folders or control characters, cut to what fits."""
    last = PurePosixPath(clean(name).replace("\\", "/")).name
    return " ".join(last.split())[-NAME_CHARS:] or "document"


def sha256_of(file: IO[bytes]) -> str:
    """The hex digest of a file's bytes; the file is left at its start."""
    digest = hashlib.sha256()
    file.seek(0)
    while block := file.read(HASH_BLOCK):
        digest.update(block)
    file.seek(0)
    return digest.hexdigest()


class DocumentQuerySet(OwnedQuerySet["Document"]):
    """Sets of documents."""

    def unfinished(self) -> "DocumentQuerySet":
        """Those still waiting or being read."""
        return self.filter(status__in=[Document.Status.PENDING, Document.Status.PROCESSING])

    def ready(self) -> "DocumentQuerySet":
        """Those that questions can be asked about."""
        return self.filter(status=Document.Status.READY)

    def fail(self, code: str, detail: str) -> int:
        """Ends their reading; `detail` tells what to do. Returns how many there are.

        What was read at an earlier time still serves: such a document is ready again.
        """
        status, has_text = Document.Status, Q(chunk_count__gt=0)
        return self.update(
            status=Case(When(has_text, then=Value(status.READY)), default=Value(status.FAILED)),
            pages_done=Case(When(has_text, then="page_count"), default="pages_done"),
            error_code=code,
            error=detail,
        )

    def remove(self) -> int:
        """Deletes these with all that was read from them and what names them, then their files.

        In one transaction. Answers keep what they quoted. Returns how many there were.
        """
        with transaction.atomic():
            # Locked first: a worker may be writing chunks, which the delete has to see.
            documents = list(self.select_for_update(of=("self",)).order_by("pk"))
            ids = [document.pk for document in documents]
            IdempotentCall.objects.wipe(ids)
            admin_log.erase_words(Document, ids)
            with connection.cursor() as cursor:
                cursor.execute(FORGET_JOBS, {"ids": [str(one) for one in ids]})
            Document.objects.filter(pk__in=ids).delete()
            for document in documents:
                transaction.on_commit(document.discard_file, robust=True)
        return len(documents)

    def remove_with_quotes(self) -> int:
        """As `remove`, and takes their words and names out of the citations and traces of answers.

        What the answers themselves say stays.
        """
        with transaction.atomic():
            quotes_to_erase.send(Document, ids=list(self.values_list("pk", flat=True)))
            return self.remove()

    def keep(
        self,
        user: Any,
        name: str,
        kind: str,
        file: "File[bytes]",
        then: "Callable[[Document], None]",
    ) -> tuple["Document", bool]:
        """Keeps a file, then saves its document and runs `then` on it, in one transaction.

        `then` reads it or defers its reading; if it raises, nothing is kept. Returns the
        document, and False where the user already has these very bytes.
        """
        digest = sha256_of(file)
        if known := self.filter(user=user, sha256=digest).first():
            return known, False
        document = Document(
            user=user, name=display_name(name), kind=kind, size=file.size, sha256=digest
        )
        try:
            give_connection_back()
            document.file.save(name, file, save=False)
            with transaction.atomic():
                document.save(force_insert=True)
                then(document)
        except BaseException as error:
            # A connection that broke may have done so just after the commit. Where the database
            # cannot tell, the file stays: a document without one would be the greater loss.
            kept = self.filter(user=user, sha256=digest).first()
            if kept == document:
                return document, True
            with suppress(OSError):  # a file that stays is told by `manage.py orphans`
                document.file.storage.delete(stored_name(document, name))
            if isinstance(error, IntegrityError) and kept:  # the same bytes, sent twice at once
                return kept, False
            raise
        return document, True


class Document(models.Model):
    """An uploaded file, and what became of it."""

    class Kind(models.TextChoices):
        """What the file's content is."""

        PDF = "pdf", "PDF"
        TXT = "txt", "text"

    class Status(models.TextChoices):
        """Where the document stands on its way to being searchable."""

        PENDING = "pending"
        PROCESSING = "processing"
        READY = "ready"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="documents"
    )
    name = models.CharField(max_length=NAME_CHARS)
    kind = models.CharField(max_length=3, choices=Kind)
    file = models.FileField(upload_to=stored_name)
    size = models.PositiveBigIntegerField(help_text="In bytes.")
    sha256 = models.CharField(max_length=64)
    status = models.CharField(max_length=10, choices=Status, default=Status.PENDING)
    error_code = models.CharField(max_length=40, blank=True)
    error = models.TextField(blank=True)
    title = models.CharField(max_length=NAME_CHARS, blank=True)
    language = models.CharField(
        max_length=40, default="simple", help_text="PostgreSQL's text search configuration."
    )
    page_count = models.PositiveIntegerField(default=0)
    pages_done = models.PositiveIntegerField(default=0)
    chunk_count = models.PositiveIntegerField(default=0)
    token_count = models.PositiveIntegerField(default=0)
    name_terms = ArrayField(
        models.IntegerField(),
        default=list,
        blank=True,
        help_text="Hashes of the words of name and title, as questions are searched.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    processed_at = models.DateTimeField(null=True, blank=True)

    objects: ClassVar[Any] = DocumentQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [
            models.Index(fields=["user", "-id"], name="document_of_user"),
            models.Index(
                fields=["id"],
                name="document_unfinished",
                condition=Q(status__in=["pending", "processing"]),
            ),
            models.Index(fields=["-id"], name="document_failed", condition=Q(status="failed")),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["user", "sha256"], name="document_once_a_user")
        ]

    def __str__(self) -> str:
        return self.name

    def mark_processing(self) -> None:
        """A worker has taken it up."""
        self._change(status=self.Status.PROCESSING, pages_done=0)

    def mark_pending(self) -> None:
        """It waits for its next attempt."""
        self._change(status=self.Status.PENDING)

    def mark_failed(self, code: str, detail: str) -> None:
        """It cannot be read; `detail` tells the uploader what to do."""
        if Document.objects.filter(pk=self.pk).fail(code, detail):
            self.refresh_from_db(fields=["status", "pages_done", "error_code", "error"])

    def read_again(self, then: "Callable[[Document], None]") -> bool:
        """Makes it pending and runs `then` on it, in one transaction; False if it is under way.

        Until the new text replaces the old one, in one transaction, it is not searched.
        """
        at_rest = Document.objects.filter(pk=self.pk, status__in=["ready", "failed"])
        fresh = {"status": self.Status.PENDING, "pages_done": 0, "error_code": "", "error": ""}
        with transaction.atomic():
            if not at_rest.update(**fresh):
                return False
            then(self)
        self.refresh_from_db()
        return True

    def _change(self, **fields: Any) -> None:
        """Sets these fields here and in the row; a document deleted meanwhile stays deleted."""
        for name, value in fields.items():
            setattr(self, name, value)
        Document.objects.filter(pk=self.pk).update(**fields)

    def remove(self) -> None:
        """Deletes the document as DocumentQuerySet.remove does."""
        Document.objects.filter(pk=self.pk).remove()

    def has_file(self) -> bool:
        """Whether its file is where it should be."""
        name = self.file.name
        return name is not None and self.file.storage.exists(name)

    def discard_file(self) -> None:
        """Deletes the stored file, where there is one."""
        if self.file.name:
            give_connection_back()
            self.file.storage.delete(self.file.name)


class Chunk(models.Model):
    """A stretch of a document's text, small enough for a prompt, that knows its pages."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    document = models.ForeignKey(Document, on_delete=models.CASCADE, related_name="chunks")
    ordinal = models.PositiveIntegerField(help_text="From 0, in reading order.")
    text = models.TextField()
    section = models.TextField(blank=True, help_text="The headings it stands under.")
    token_count = models.PositiveIntegerField()
    page_start = models.PositiveIntegerField()
    page_end = models.PositiveIntegerField()
    char_start = models.PositiveIntegerField(help_text="Offset in the first page's text.")
    page_breaks = ArrayField(
        models.PositiveIntegerField(),
        default=list,
        blank=True,
        help_text="Offsets in the chunk's text where each next page begins.",
    )

    class Meta:
        ordering: ClassVar = ["document", "ordinal"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["document", "ordinal"], name="chunk_in_order")
        ]

    def __str__(self) -> str:
        return f"chunk {self.ordinal}"

    def stretches(self) -> list[Stretch]:
        """Where it stands, page by page."""
        return stretches(self.text, self.page_start, self.char_start, self.page_breaks)


class PageQuerySet(models.QuerySet["Page"]):
    """Sets of pages."""

    # Only the pages cited are read, and none of their text leaves the database.
    HOLDING = """
    SELECT quoted.n
    FROM unnest(%(documents)s::uuid[], %(numbers)s::int[], %(starts)s::int[], %(quotes)s::text[])
        WITH ORDINALITY AS quoted(document_id, number, start, quote, n)
    JOIN documents_page AS page
        ON page.document_id = quoted.document_id AND page.number = quoted.number
    WHERE substr(page.text, quoted.start + 1, length(quoted.quote)) = quoted.quote
    """

    def around(self, citation: Any, chars: int) -> tuple[str, str]:
        """What stands before and after a citation on its page, at most `chars` of each.

        Empty where the page is gone; one database query.
        """
        start = max(0, citation.char_start - chars)
        cut = self.filter(document_id=citation.document_id, number=citation.page).values_list(
            Substr("text", start + 1, citation.char_start - start),
            Substr("text", citation.char_end + 1, chars),
        )
        return cut.first() or ("", "")

    def holding(self, quotes: Sequence[tuple[UUID | None, int, int, str]]) -> set[int]:
        """Which of the quotes, by their index, stand where they say; one database query.

        A quote is its document's id, page, offset in the page's text, and words.
        """
        if not quotes:
            return set()
        names = ("documents", "numbers", "starts", "quotes")
        parameters = dict(zip(names, map(list, zip(*quotes, strict=True)), strict=True))
        with connection.cursor() as cursor:
            cursor.execute(self.HOLDING, parameters)
            return {n - 1 for (n,) in cursor.fetchall()}


class Page(models.Model):
    """The cleaned text of one page, which citations point into."""

    pk = models.CompositePrimaryKey("document_id", "number")
    document = models.ForeignKey(
        Document, on_delete=models.CASCADE, db_index=False, related_name="pages"
    )
    number = models.PositiveIntegerField(help_text="From 1.")
    text = models.TextField()

    objects: ClassVar[Any] = PageQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["document", "number"]

    def __str__(self) -> str:
        return f"page {self.number}"


class Posting(models.Model):
    """A bucket of a document's posting lists: which chunks hold its terms, and how much.

    Written and read by SQL in `llm.retrieval`, which tells the layout.
    """

    pk = models.CompositePrimaryKey("document_id", "bucket")
    document = models.ForeignKey(
        Document, on_delete=models.CASCADE, db_index=False, related_name="postings"
    )
    bucket = models.PositiveIntegerField()
    terms = ArrayField(models.IntegerField())
    ends = ArrayField(models.IntegerField())
    entries = ArrayField(models.IntegerField())

    def __str__(self) -> str:
        return f"bucket {self.bucket}"
