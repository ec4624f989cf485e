"""What each operation of the OpenAPI schema takes, and views that refuse all else by name."""

import re
from dataclasses import dataclass
from functools import cache
from threading import Lock
from typing import Any

from drf_spectacular.generators import SchemaGenerator
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.views import APIView

from documents.serializers import require_known, require_one_value

# A variable part of an address, as routes and as the schema write it.
_VARIABLE = re.compile(r"<[^>]*>|{[^}]*}")
# The generator loads its extensions on first use, which two threads at once cannot.
_GENERATING = Lock()


@dataclass(frozen=True, slots=True)
class Operation:
    """What a call takes beside its path and headers."""

    parameters: tuple[str, ...]
    has_body: bool


class StrictView(APIView):
    """A view whose calls take what the schema says. All else would be ignored, unseen.

    Then a misspelt `user_id` would list everybody's objects.
    """

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Raises ValidationError for what the operation does not take, once the caller may call."""
        super().initial(request, *args, **kwargs)
        match: Any = request.resolver_match
        method = "GET" if request.method == "HEAD" else str(request.method)
        operation = operations().get((_VARIABLE.sub("{}", f"/{match.route}"), method))
        if operation is None:  # OPTIONS, and methods that the view does not have
            return
        if query := request.query_params:
            require_known(query, operation.parameters, "parameter")
            require_one_value(query, operation.parameters)
        if not operation.has_body and request.data:
            raise ValidationError("This call takes no body: leave it out.")


@cache
def operations() -> dict[tuple[str, str], Operation]:
    """Those of the schema that is published, by route (each variable as `{}`) and method.

    Takes a tenth of a second, once a process.
    """
    generator: Any = SchemaGenerator
    with _GENERATING:
        paths = generator().get_schema(public=True)["paths"]
    return {
        (_VARIABLE.sub("{}", path), method.upper()): Operation(
            tuple(one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"),
            "requestBody" in operation,
        )
        for path, methods in paths.items()
        for method, operation in methods.items()
    }
