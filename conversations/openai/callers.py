"""What the calls of OpenAI's API have in common: whose they are, and how errors are told."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from conversations.openai.errors import exception_handler
from documents.serializers import as_uuid
from documents.views import Scoped

# The second is what Open WebUI sends where ENABLE_FORWARD_USER_INFO_HEADERS is set.
USER_HEADERS = ("X-User-ID", "X-OpenWebUI-User-Id")
USER_HEADER = OpenApiParameter(
    USER_HEADERS[0],
    OpenApiTypes.UUID,
    OpenApiParameter.HEADER,
    description=(
        "For which user a service key acts, or a caller of an open server; a user's own key needs "
        "none and acts for its owner. Open WebUI's `X-OpenWebUI-User-Id` does as well. Without, "
        "each service key has one user of its own, and so have all open callers together."
    ),
)


class AnyAccepted(DefaultContentNegotiation):
    """Answers with what there is: SDKs ask for types that stand for their own classes."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        """The first."""
        first = next(iter(renderers))
        return first, str(first.media_type)


class OpenAIView(Scoped):
    """A call of OpenAI's API. Errors have its shape; the objects are those of one user."""

    content_negotiation_class = AnyAccepted
    takes_key = False

    def get_exception_handler(self) -> Callable[..., Any]:
        """OpenAI's shape instead of problem details."""
        return exception_handler

    def user_scope(self) -> UUID:
        """The id of that user."""
        return self.user_id()

    def counted_user(self) -> UUID:
        """That user; of a question the one whom its body names."""
        body = self.request.data if self.request.method == "POST" else None
        named = body.get("user") if isinstance(body, Mapping) else None
        return self.user_id(named if isinstance(named, str) else None)

    def user_id(self, named: str | None = None) -> UUID:
        """The key's owner; else a header's user, else `named` if that is a UUID, else a fixed one.

        `named` is OpenAI's `user`, which may be any text. The fixed one is the key's own, or that
        of all open callers. Raises ValidationError for a header that is no UUID.
        """
        caller = self.caller
        if caller.owner is not None:
            owner_id: UUID = caller.owner.pk
            return owner_id
        for header in USER_HEADERS:
            if (given := self.request.headers.get(header)) is not None:
                if (found := as_uuid(given)) is None:
                    raise ValidationError({header: ["Give a UUID of your choice."]})
                return found
        return as_uuid(named or "") or uuid5(NAMESPACE_URL, f"urn:botgpt:openai:{caller.key_id}")


class Nowhere(OpenAIView):
    """Calls that OpenAI's API has and this one has not."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Raises NotFound."""
        raise NotFound("There is nothing at this address: see /docs for those that exist.")
