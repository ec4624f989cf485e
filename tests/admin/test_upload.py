"""Upload in the admin: several files for one user, each told of by itself."""

import re

import pytest
from django.contrib.admin.models import ADDITION, LogEntry
from django.contrib.auth.models import Permission
from django.core.files.uploadedfile import SimpleUploadedFile
from procrastinate.contrib.django.models import ProcrastinateJob

from documents.models import Document
from tests.factories import empty_queue, make_document, make_user

pytestmark = pytest.mark.django_db
PATH = "/admin/documents/document/add/"
JSON = {"Accept": "application/json"}


@pytest.fixture
def user():
    return make_user()


def send(client, user, *files, **headers):
    named = [SimpleUploadedFile(name, content) for name, content in files]
    form = {"user": str(user), "files": named}
    return client.post(PATH, form, headers=headers)


def outcomes(response):
    """(name, kept, text) of each file that the page tells of."""
    assert response.status_code == 200
    rows = re.findall(
        r'<tr class="(kept|refused)">\s*<th scope="row">(.*?)</th>\s*<td>(.*?)</td>',
        response.content.decode(),
        re.DOTALL,
    )
    return [(re.sub("<.*?>", "", name), kind == "kept", text) for kind, name, text in rows]


def test_each_file_is_told_of(admin_client, user):
    empty_queue()
    files = [
        ("a.txt", b"The museum opens at nine."),
        ("picture.png", b"\x89PNG\r\n\x1a\n" + bytes(100)),
        ("empty.txt", b""),
        ("b.pdf", b"%PDF-1.7 broken"),
    ]

    told = outcomes(send(admin_client, user.pk, *files))

    assert [(name, kept) for name, kept, _ in told] == [
        ("a.txt", True),
        ("picture.png", False),
        ("empty.txt", False),
        ("b.pdf", True),
    ]
    assert told[0][2] == "Kept."
    assert "neither a PDF nor plain text" in told[1][2]
    assert "empty" in told[2][2]
    kept = Document.objects.filter(user=user)
    assert sorted(kept.values_list("name", "status")) == [
        ("a.txt", "pending"),
        ("b.pdf", "pending"),
    ]
    jobs = {job.args["document_id"] for job in ProcrastinateJob.objects.all()}
    assert jobs == {str(document.pk) for document in kept}


def test_the_same_bytes_again_are_the_same_document(admin_client, user):
    document = make_document(user)
    content = document.file.open("rb").read()

    [(_, kept, text)] = outcomes(send(admin_client, user.pk, ("copy.txt", content)))

    assert kept
    assert text == "Not kept twice: the user has these very bytes as museum.txt."
    assert list(Document.objects.all()) == [document]


def test_the_limits_of_the_api_hold(admin_client, user, settings):
    settings.MAX_UPLOAD_BYTES = 10
    settings.USER_UPLOADS_A_DAY = 1

    told = outcomes(
        send(admin_client, user.pk, ("long.txt", b"x" * 11), ("a.txt", b"a"), ("b.txt", b"b"))
    )

    assert [kept for _, kept, _ in told] == [False, True, False]
    assert "The file is larger than" in told[0][2]
    assert "may upload 1 documents a day" in told[2][2]
    settings.USER_UPLOADS_A_DAY, settings.USER_STORED_BYTES = 0, 1
    [(_, kept, text)] = outcomes(send(admin_client, user.pk, ("c.txt", b"cc")))
    assert not kept
    assert "documents may take 1 bytes" in text


@pytest.mark.parametrize(
    ("owner", "complaint"),
    [
        ("", "This field is required."),
        ("nobody", "There is no such user."),
        ("0f0e0d0c-0b0a-4908-8706-050403020100", "There is no such user."),
        ("5e0f2a4e", "There is no such user."),
        ("a\0b", "Null characters are not allowed."),
        ("'; DROP TABLE", "There is no such user."),
    ],
)
def test_an_owner_who_does_not_exist_is_told_of(admin_client, owner, complaint):
    response = send(admin_client, owner, ("a.txt", b"a"))

    assert response.status_code == 200
    assert complaint in response.content.decode()
    assert not Document.objects.exists()


def test_the_owner_may_be_named(admin_client, user):
    user.username = "shop"
    user.save()

    assert outcomes(send(admin_client, "shop", ("a.txt", b"a"))) == [("a.txt", True, "Kept.")]


def test_without_a_file_it_asks_for_one(admin_client, user):
    assert "Choose one file or several." in send(admin_client, user.pk).content.decode()


def test_one_who_is_shut_out_gets_no_documents(admin_client, user):
    user.is_active = False
    user.save()

    response = send(admin_client, user.pk, ("a.txt", b"a"))

    assert "shut out" in response.content.decode()
    assert not Document.objects.exists()


def test_odd_names_stay_names(admin_client, user):
    names = ["../../etc/passwd", "<img src=x onerror=ran=1>.txt", "x" * 300 + ".txt", "‮txt.fdp"]

    response = send(admin_client, user.pk, *((name, name.encode()) for name in names))

    assert all(kept for _, kept, _ in outcomes(response))
    assert "<img src=x" not in response.content.decode()


def test_a_script_is_answered_in_json(admin_client, user):
    kept = send(admin_client, user.pk, ("a.txt", b"a"), **JSON)
    refused = send(admin_client, "nobody", ("a.txt", b"a"), **JSON)

    document = Document.objects.get()
    assert kept.json() == {
        "outcomes": [
            {
                "name": "a.txt",
                "text": "Kept.",
                "id": str(document.pk),
                "address": f"/admin/documents/document/{document.pk}/change/",
            }
        ]
    }
    assert refused.status_code == 400
    assert "no such user" in refused.json()["errors"]["user"][0]


def test_who_uploaded_is_in_the_documents_history(admin_client, admin_user, user):
    send(admin_client, user.pk, ("a.txt", b"a"))

    entry = LogEntry.objects.get()
    assert (entry.user_id, entry.action_flag) == (admin_user.pk, ADDITION)
    assert entry.object_id == str(Document.objects.get().pk)


def test_only_staff_who_may_add_documents_upload(client, user):
    staff = make_user()
    staff.is_staff = True
    staff.save()
    client.force_login(staff)
    staff.user_permissions.add(Permission.objects.get(codename="view_document"))

    assert client.get(PATH).status_code == 403
    assert send(client, user.pk, ("a.txt", b"a")).status_code == 403
    assert PATH not in client.get("/admin/documents/document/").content.decode()
    assert not Document.objects.exists()
    staff.user_permissions.add(Permission.objects.get(codename="add_document"))
    assert PATH in client.get("/admin/documents/document/").content.decode()
    assert client.get(PATH).status_code == 200
