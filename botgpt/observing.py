"""What a web process and a worker begin with, so that operators see what they do."""

from functools import cache

from django.conf import settings

from botgpt import metrics


def begin() -> None:
    """Shares this process's metrics, and sends its traces where they are wanted."""
    metrics.share()
    if settings.OTEL_EXPORTER_OTLP_ENDPOINT:
        from botgpt import tracing  # takes a while to import

        tracing.begin()


@cache
def begin_worker() -> None:
    """The same in a worker, once; its metrics have a port of their own where one is set."""
    begin()
    if settings.METRICS_PORT:
        metrics.serve(settings.METRICS_PORT)
