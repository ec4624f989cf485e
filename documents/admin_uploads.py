"""Uploads by staff, for a user, by the same rules as through the API."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.contrib.admin.models import ADDITION, LogEntry
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import UploadedFile
from django.db import IntegrityError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from rest_framework import serializers
from rest_framework.exceptions import APIException

from documents.exceptions import StorageFull
from documents.models import Document, display_name
from documents.ownership import user_called
from documents.serializers import UploadSerializer
from documents.uploads import accept


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a file. Without an `id` it was refused, and `text` says why."""

    name: str
    text: str
    id: str = ""
    address: str = ""


class FilesInput(forms.ClearableFileInput):
    """Several files at once."""

    allow_multiple_selected = True


class FilesField(forms.FileField):
    """One file or several; each is judged by itself, later."""

    widget = FilesInput

    def clean(self, data: Any, initial: Any = None) -> list[UploadedFile[bytes]]:
        """Raises ValidationError where there is none."""
        if not data:
            raise forms.ValidationError("Choose one file or several.")
        return list(data)


class UploadForm(forms.Form):
    """Whose documents they become, and the files."""

    user = forms.CharField(
        label="Owner",
        help_text="Whose documents they become: the id or name of a user, who exists already.",
        widget=forms.TextInput(attrs={"class": "vTextField", "autocomplete": "off"}),
    )
    # Django's forms keep what was sent under the name `files`, though only on instances.
    files = FilesField()  # type: ignore[assignment]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        most = filesizeformat(settings.MAX_UPLOAD_BYTES)
        self.fields["files"].help_text = f"PDF or plain text, each of at most {most}."

    def clean_user(self) -> Any:
        """Raises ValidationError where nobody is named who exists."""
        user = user_called(self.cleaned_data["user"])
        if user is None:
            raise forms.ValidationError("There is no such user. Give a whole id, or a whole name.")
        if not user.is_active:
            raise forms.ValidationError("This user is shut out, or about to be forgotten.")
        return user


def upload(request: HttpRequest, *, model_admin: admin.ModelAdmin[Document]) -> HttpResponse:
    """The form; what is sent with it is kept file by file, and each is told of.

    Answers in JSON where `upload.js` asks, which sends one file at a time.
    """
    if not model_admin.has_add_permission(request):
        raise PermissionDenied
    initial = {"user": request.GET.get("user", "")}
    form = UploadForm(request.POST or None, request.FILES or None, initial=initial)
    outcomes: Sequence[Outcome] = ()
    if request.method == "POST" and form.is_valid():
        user = form.cleaned_data["user"]
        outcomes = [_kept(request, user, file) for file in form.cleaned_data["files"]]
    if request.method == "POST" and request.headers.get("Accept") == "application/json":
        if form.errors:
            return JsonResponse({"errors": form.errors}, status=400)
        return JsonResponse({"outcomes": [asdict(one) for one in outcomes]})
    context = {
        **model_admin.admin_site.each_context(request),
        "title": "Upload documents",
        "opts": Document._meta,
        "form": form,
        "outcomes": outcomes,
        "media": form.media + model_admin.media,
        "progress": reverse("admin:documents_document_progress"),
    }
    return render(request, "documents/upload.html", context)


def _kept(request: Any, user: Any, file: UploadedFile[bytes]) -> Outcome:
    """Keeps one file, if the rules of the API let it be kept."""
    name = display_name(file.name or "")
    asked = UploadSerializer(data={"file": file})
    try:
        asked.is_valid(raise_exception=True)
        kind = asked.validated_data["kind"]
        document, is_new = Document.objects.keep(user, file.name or "", kind, file, accept)
    except serializers.ValidationError as error:
        return Outcome(name, " ".join(_texts(error.detail)))
    except APIException as error:
        return Outcome(name, str(error.detail))
    except IntegrityError:
        return Outcome(name, "The user was deleted in this moment.")
    except OSError:
        return Outcome(name, str(StorageFull.default_detail))
    address = reverse("admin:documents_document_change", args=[document.pk])
    if not is_new:
        text = f"Not kept twice: the user has these very bytes as {document.name}."
        return Outcome(name, text, str(document.pk), address)
    LogEntry.objects.log_actions(request.user.pk, [document], ADDITION, "Uploaded.")
    return Outcome(name, "Kept.", str(document.pk), address)


def _texts(detail: Any) -> list[str]:
    """What a validation error says, of whichever field."""
    if isinstance(detail, dict):
        return [text for value in detail.values() for text in _texts(value)]
    return [str(one) for one in detail] if isinstance(detail, list) else [str(detail)]
