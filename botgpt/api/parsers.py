"""Reads request bodies."""

import json
from collections import Counter
from typing import IO, Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser

# What the digest of an Idempotency-Key, and the checks of fields, can follow in any thread.
MOST_DEPTH = 100


class BoundedJSONParser(JSONParser):
    """JSON in UTF-8 (RFC 8259), as deep as can be followed, each name once in its object."""

    def parse(self, stream: IO[Any], *args: Any, **kwargs: Any) -> Any:
        """The value. Raises ParseError."""
        try:
            text = stream.read().decode()
            value = json.loads(text, object_pairs_hook=_once, parse_constant=_refuse)
        except RecursionError as error:
            raise ParseError(_TOO_DEEP) from error
        except ValueError as error:
            raise ParseError(f"JSON parse error - {error}") from error
        _require_shallow(value)
        return value


_TOO_DEEP = "The JSON is nested too deeply."


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object; where a name came twice, the last would win unseen."""
    found = dict(pairs)
    if len(found) < len(pairs):
        [(twice, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"{twice[:100]!r} is named twice in one object.")
    return found


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no number of JSON.")


def _require_shallow(value: Any) -> None:
    level = [value]
    for _ in range(MOST_DEPTH):
        level = [
            child
            for one in level
            if isinstance(one, dict | list)
            for child in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return
    raise ParseError(_TOO_DEEP)
