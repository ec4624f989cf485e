"""Pages of lists: `?page=1&limit=20`."""

from typing import Any

from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.pagination import PageNumberPagination
from rest_framework.request import Request

# More pages than there can be rows.
MOST_DIGITS = 9


class PageAndLimit(PageNumberPagination):
    """`limit` is 1 to 100 and 20 unless told; one outside is refused, not bent."""

    page_size = 20
    max_page_size = 100
    page_query_param = "page"
    page_size_query_param = "limit"
    page_query_description = "The page, from 1."
    page_size_query_description = "How many a page, 1 to 100; 20 unless told."

    def get_page_size(self, request: Request) -> int:
        """The limit asked for. Raises ValidationError where it is not 1 to 100."""
        value = request.query_params.get(self.page_size_query_param, str(self.page_size))
        if value.isascii() and value.isdigit() and len(value) <= 3:
            if 1 <= int(value) <= self.max_page_size:
                return int(value)
        raise ValidationError({"limit": [f"Give a whole number from 1 to {self.max_page_size}."]})

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """With their bounds."""
        parameters: list[dict[str, Any]] = super().get_schema_operation_parameters(view)
        page, limit = (parameter["schema"] for parameter in parameters)
        page["minimum"] = limit["minimum"] = 1
        limit["maximum"] = self.max_page_size
        return parameters

    def get_page_number(self, request: Request, paginator: Any) -> int:
        """The page asked for. Raises NotFound where it is no plain number, such as `last`."""
        value = request.query_params.get(self.page_query_param, "1")
        if value.isascii() and value.isdigit() and len(value) <= MOST_DIGITS:
            return int(value)
        raise NotFound("Give the page as a whole number from 1.")

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """With examples of ours where the base has an address of nobody's."""
        page: dict[str, Any] = super().get_paginated_response_schema(schema)
        page["properties"]["count"]["example"] = 1
        page["properties"]["next"]["example"] = None
        page["properties"]["previous"]["example"] = None
        return page
