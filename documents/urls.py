"""Addresses of the documents' part of the API."""

from django.urls import path

from documents import page_views, views

urlpatterns = [
    path("documents", views.DocumentList.as_view()),
    path("search", views.DocumentSearch.as_view()),
    path("documents/<uuid:pk>", views.DocumentDetail.as_view()),
    path("documents/<uuid:pk>/chunks", views.ChunkList.as_view()),
    path("documents/<uuid:pk>/pages/<int:number>", page_views.PageDetail.as_view()),
    path("documents/<uuid:pk>/file", views.DocumentFile.as_view()),
    path("documents/<uuid:pk>/reprocess", views.DocumentReprocess.as_view()),
]
