"""What answers quote of documents, and its end where nothing may go on quoting them."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db import connection

from conversations.models import Citation

# What stands in the place of a document's name.
ERASED = "deleted document"

# A trace names each document that was searched, with the headings of its chunks. Only those of the
# users who had the documents are looked through.
ERASE_FROM_TRACES = """
UPDATE conversations_retrieval AS trace
SET candidates = (
    SELECT jsonb_agg(
        CASE WHEN one ->> 'document_id' = ANY(%(ids)s)
        THEN one || jsonb_build_object('document_name', %(erased)s::text, 'section', '')
        ELSE one END
        ORDER BY place
    )
    FROM jsonb_array_elements(trace.candidates) WITH ORDINALITY AS each(one, place)
)
FROM conversations_message AS message
JOIN conversations_conversation AS conversation ON conversation.id = message.conversation_id
WHERE message.id = trace.message_id
AND conversation.user_id IN (SELECT user_id FROM documents_document WHERE id = ANY(%(ids)s::uuid[]))
AND EXISTS (
    SELECT FROM jsonb_array_elements(trace.candidates) AS one
    WHERE one ->> 'document_id' = ANY(%(ids)s)
)
"""


def erase(ids: Sequence[UUID], **_: Any) -> None:
    """Takes words and names of documents out of citations and traces, before they are deleted."""
    gone = {"quote": "", "section": "", "document_name": ERASED}
    Citation.objects.filter(document_id__in=ids).update(**gone)
    with connection.cursor() as cursor:
        cursor.execute(ERASE_FROM_TRACES, {"ids": [str(one) for one in ids], "erased": ERASED})
