"""What is counted of the models' provider."""

from prometheus_client import Counter, Gauge

ERRORS = Counter(
    "botgpt_upstream_errors",
    "Calls of a model that failed, by the kind of error",
    ["model", "code"],
)
RETRIES = Counter("botgpt_upstream_retries", "Calls of a model that were made again", ["model"])
OUT_OF_SERVICE = Gauge(
    "botgpt_model_out_of_service",
    "Processes that leave the model alone for now",
    ["model"],
    multiprocess_mode="livesum",
)
