"""Conversations as trees of messages, what answers rest on, and what they cost."""

from conversations.models.audit import Actor, ActorKind, AuditEntry
from conversations.models.conversation import Conversation, ConversationDocument
from conversations.models.evidence import Citation, Retrieval
from conversations.models.feedback import Feedback
from conversations.models.message import EndedBefore, Message, StreamedText
from conversations.models.process import WebProcess
from conversations.models.tally import Tally
from conversations.models.usage import Limit, Spending, UsageEntry

__all__ = [
    "Actor",
    "ActorKind",
    "AuditEntry",
    "Citation",
    "Conversation",
    "ConversationDocument",
    "EndedBefore",
    "Feedback",
    "Limit",
    "Message",
    "Retrieval",
    "Spending",
    "StreamedText",
    "Tally",
    "UsageEntry",
    "WebProcess",
]
