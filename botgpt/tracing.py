"""Traces by OpenTelemetry, sent to OTEL_EXPORTER_OTLP_ENDPOINT; imported where that is set."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.http import HttpRequest
from django.utils.decorators import sync_and_async_middleware
from opentelemetry import propagate, trace
from opentelemetry.context import Context, attach
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode

from botgpt.api.request_id import QUIET
from botgpt.api.request_metrics import route
from documents import origin, tracing
from documents.tracing import Value

HEADERS = ("traceparent", "tracestate")


KINDS = {
    "request": SpanKind.SERVER,
    "ask": SpanKind.CLIENT,
    "rewrite": SpanKind.CLIENT,
    "ingest": SpanKind.CONSUMER,
}


class OpenTelemetry:
    """Makes the spans (see `documents.tracing`)."""

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer("botgpt", settings.VERSION)

    @contextmanager
    def span(self, name: str, attributes: Mapping[str, Value]) -> Iterator[None]:
        """A span; of an error it tells the class alone, whose words may quote a text."""
        with self._tracer.start_as_current_span(
            name,
            kind=KINDS.get(name, SpanKind.INTERNAL),
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield
            except Exception as error:
                span.set_attribute("error.type", type(error).__qualname__)
                span.set_status(Status(StatusCode.ERROR))
                raise

    def event(self, name: str) -> None:
        """An event of the span under way."""
        trace.get_current_span().add_event(name)

    def note(self, attributes: Mapping[str, Value]) -> None:
        """Attributes of the span under way."""
        trace.get_current_span().set_attributes(attributes)

    def headers(self) -> dict[str, str]:
        """Those of the span under way."""
        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        return {name: value for name, value in carrier.items() if name in HEADERS}

    def resume(self, headers: Mapping[str, str]) -> None:
        """What is done in this context belongs to that trace, or to none."""
        attach(propagate.extract(dict(headers), context=Context()))


def begin() -> None:
    """Makes spans from now on, and sends them in a thread.

    The SDK reads its other variables itself: headers, sampling, limits.
    """
    about = {"service.name": settings.OTEL_SERVICE_NAME, "service.version": settings.VERSION}
    provider = TracerProvider(resource=Resource.create(about))
    address = f"{settings.OTEL_EXPORTER_OTLP_ENDPOINT.rstrip('/')}/v1/traces"
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=address)))
    tracing.use(OpenTelemetry(provider))


@sync_and_async_middleware
def trace_middleware(get_response: Any) -> Any:
    """A span around each request, in the trace that its caller has begun where there is one."""
    if iscoroutinefunction(get_response):

        async def middleware(request: HttpRequest) -> Any:
            if request.path.startswith(QUIET):
                return await get_response(request)
            with _span(request):
                response = await get_response(request)
                _note(request, response.status_code)
            return response

        return middleware

    def sync_middleware(request: HttpRequest) -> Any:
        if request.path.startswith(QUIET):
            return get_response(request)
        with _span(request):
            response = get_response(request)
            _note(request, response.status_code)
        return response

    return sync_middleware


def _span(request: HttpRequest) -> AbstractContextManager[None]:
    given = {name: request.headers[name] for name in HEADERS if name in request.headers}
    tracing.resume(given)
    return tracing.span("request")


def _note(request: HttpRequest, status: int) -> None:
    where = route(request)
    span = trace.get_current_span()
    span.update_name(f"{request.method} {where}")
    told: dict[str, Value] = {
        "http.request.method": str(request.method),
        "http.route": where,
        "http.response.status_code": status,
        "botgpt.request_id": origin.request_id.get(),
    }
    span.set_attributes(told)
    if status >= 500:
        span.set_status(Status(StatusCode.ERROR))
