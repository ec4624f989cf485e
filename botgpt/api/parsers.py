"""Reads request bodies."""

from typing import IO, Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser


class BoundedJSONParser(JSONParser):
    """JSON, where nesting beyond what Python can follow is the sender's error."""

    def parse(self, stream: IO[Any], *args: Any, **kwargs: Any) -> Any:
        """The value. Raises ParseError."""
        try:
            return super().parse(stream, *args, **kwargs)
        except RecursionError as error:
            raise ParseError("The JSON is nested too deeply.") from error
