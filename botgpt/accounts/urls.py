"""Addresses of the users' part of the API."""

from django.urls import path

from botgpt.accounts import export_views, views

urlpatterns = [
    path("users/<uuid:pk>", views.UserDetail.as_view()),
    path("export", export_views.Export.as_view()),
]
