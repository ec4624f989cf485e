"""Addresses of OpenAI's API, under its base."""

from django.urls import path, re_path

from conversations.openai import callers, files, views

urlpatterns = [
    path("chat/completions", views.ChatCompletions.as_view()),
    path("models", views.ModelList.as_view()),
    path("models/<path:name>", views.ModelDetail.as_view()),
    path("files", files.FileList.as_view()),
    path("files/<uuid:pk>", files.FileDetail.as_view()),
    path("files/<uuid:pk>/content", files.FileContent.as_view()),
    # Whatever it is, line ends too.
    re_path(r"[\s\S]*", callers.Nowhere.as_view()),
]
