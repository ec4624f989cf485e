"""Addresses of the conversations' part of the API."""

from django.urls import path

from conversations import (
    answer_views,
    branch_views,
    export_views,
    preview,
    search_views,
    usage_views,
    views,
)

OF_MESSAGE = {
    "retry": branch_views.MessageRetry,
    "regenerate": branch_views.MessageRegenerate,
    "edit": branch_views.MessageEdit,
    "activate": branch_views.MessageActivate,
    "cancel": branch_views.MessageCancel,
    "stream": branch_views.MessageStream,
    "trace": answer_views.MessageTrace,
    "replay": answer_views.MessageReplay,
    "feedback": answer_views.MessageFeedback,
}

urlpatterns = [
    path("conversations", views.ConversationList.as_view()),
    path("conversations/search", search_views.ConversationSearch.as_view()),
    path("conversations/<uuid:pk>", views.ConversationDetail.as_view()),
    path("conversations/<uuid:pk>/export", export_views.ConversationExport.as_view()),
    path("conversations/<uuid:pk>/messages", views.MessageList.as_view()),
    path("conversations/<uuid:pk>/context", preview.ConversationContext.as_view()),
    path(
        "conversations/<uuid:pk>/messages/<uuid:message_id>", branch_views.MessageDetail.as_view()
    ),
    *(
        path(f"conversations/<uuid:pk>/messages/<uuid:message_id>/{verb}", view.as_view())
        for verb, view in OF_MESSAGE.items()
    ),
    path("citations/<uuid:pk>", answer_views.CitationDetail.as_view()),
    path("usage", usage_views.Usage.as_view()),
    path("budgets", usage_views.Budgets.as_view()),
    path("models", views.ModelList.as_view()),
]
