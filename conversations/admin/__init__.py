"""Conversations and what they took, in the admin."""

from conversations.admin import audit as audit
from conversations.admin import conversations as conversations
from conversations.admin import feedback as feedback
from conversations.admin import messages as messages
from conversations.admin import usage as usage
