"""Several conversations as one ZIP file, a file each."""

import zipfile
from collections.abc import Iterator, Sequence
from tempfile import TemporaryFile

from conversations import export
from conversations.models import Conversation

# Conversations in one file at most.
MOST = 50
# Bytes sent at a time.
BLOCK = 1024 * 1024

# By the ending of their files.
WRITERS = {
    "json": (export.as_json, "application/json"),
    "md": (export.as_markdown, "text/markdown; charset=utf-8"),
}


def of(conversations: Sequence[Conversation], kind: str) -> Iterator[bytes]:
    """The file's bytes; it is written to disk first. Every branch of each is told."""
    write, _ = WRITERS[kind]
    with TemporaryFile() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for conversation in conversations:
                # Titles may be the same.
                name = f"{export.file_name(conversation.title)} {conversation.pk}.{kind}"
                ids = export.order(conversation, every_branch=True)
                with archive.open(name, "w") as one:
                    for part in write(conversation, ids):
                        one.write(part.encode())
        file.seek(0)
        while block := file.read(BLOCK):
            yield block
