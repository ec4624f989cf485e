"""Addresses of the conversations' part of the API."""

from django.urls import path

from conversations import views

urlpatterns = [
    path("conversations", views.ConversationList.as_view()),
    path("conversations/<uuid:pk>", views.ConversationDetail.as_view()),
    path("conversations/<uuid:pk>/messages", views.MessageList.as_view()),
    path("conversations/<uuid:pk>/messages/<uuid:message_id>/retry", views.MessageRetry.as_view()),
    path("models", views.ModelList.as_view()),
]
