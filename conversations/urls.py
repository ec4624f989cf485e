"""Addresses of the conversations' part of the API."""

from django.urls import path

from conversations import answer_views, views

urlpatterns = [
    path("conversations", views.ConversationList.as_view()),
    path("conversations/<uuid:pk>", views.ConversationDetail.as_view()),
    path("conversations/<uuid:pk>/messages", views.MessageList.as_view()),
    path("conversations/<uuid:pk>/messages/<uuid:message_id>/retry", views.MessageRetry.as_view()),
    path(
        "conversations/<uuid:pk>/messages/<uuid:message_id>/trace",
        answer_views.MessageTrace.as_view(),
    ),
    path(
        "conversations/<uuid:pk>/messages/<uuid:message_id>/replay",
        answer_views.MessageReplay.as_view(),
    ),
    path(
        "conversations/<uuid:pk>/messages/<uuid:message_id>/feedback",
        answer_views.MessageFeedback.as_view(),
    ),
    path("citations/<uuid:pk>", answer_views.CitationDetail.as_view()),
    path("models", views.ModelList.as_view()),
]
