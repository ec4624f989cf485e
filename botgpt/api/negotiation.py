"""What a caller accepts."""

from collections.abc import Iterable
from typing import Any

from rest_framework.exceptions import NotAcceptable
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request


class Negotiation(DefaultContentNegotiation):
    """REST framework's, where an `Accept` that cannot be read accepts nothing."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> Any:
        """Raises NotAcceptable."""
        accepted = request.META.get("HTTP_ACCEPT")
        for renderer in renderers:
            if renderer.media_type == accepted:  # as most say it: there is nothing to weigh
                return renderer, accepted
        try:
            return super().select_renderer(request, renderers, format_suffix)
        except ValueError as error:  # a parameter in an encoding that there is not
            raise NotAcceptable() from error
