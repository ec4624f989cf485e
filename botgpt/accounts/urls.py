"""Addresses of the users' part of the API."""

from django.urls import path

from botgpt.accounts import export_views

urlpatterns = [
    path("export", export_views.Export.as_view()),
]
