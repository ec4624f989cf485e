"""All addresses of the product."""

from django.contrib import admin
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView
from drf_spectacular.views import (
    SpectacularJSONAPIView,
    SpectacularRedocView,
    SpectacularSwaggerSplitView,
)

from botgpt import health, metrics, page
from botgpt.accounts import logins
from conversations.dashboard.page import dashboard

# What is shown there is only read; the template pages could not answer OPTIONS.
READ_ONLY = {"http_method_names": ["get", "head"]}

urlpatterns = [
    path("", page.chat, name="chat"),
    # Browsers ask for it wherever a page names none, as the admin's do.
    path("favicon.ico", RedirectView.as_view(url=static("page/icon.svg"), **READ_ONLY)),
    path("api/v1/", include("documents.urls")),
    path("api/v1/", include("conversations.urls")),
    path("api/v1/", include("botgpt.accounts.urls")),
    path("openai/v1/", include("conversations.openai.urls")),
    path("openapi.json", SpectacularJSONAPIView.as_view(**READ_ONLY), name="openapi"),
    path("docs", SpectacularSwaggerSplitView.as_view(url_name="openapi", **READ_ONLY), name="docs"),
    path("redoc", SpectacularRedocView.as_view(url_name="openapi", **READ_ONLY), name="redoc"),
    path("admin", RedirectView.as_view(url="/admin/")),
    path("admin/dashboard/", admin.site.admin_view(dashboard), name="dashboard"),
    path("admin/login/", logins.login),
    path(
        "admin/password_change/",
        logins.in_hashing_thread(admin.site.admin_view(admin.site.password_change)),
    ),
    path("admin/", admin.site.urls),
    path("metrics", metrics.view),
    path("health", health.report),
    path("health/live", health.live),
    path("health/ready", health.ready),
]
