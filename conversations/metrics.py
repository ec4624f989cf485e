"""What is counted of answers: how soon and how long, what they took, and who listens."""

from prometheus_client import Counter, Gauge, Histogram

# Each call of the API is over by then, but for some of a slow model.
SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120)

FIRST_TOKEN = Histogram(
    "botgpt_time_to_first_token_seconds",
    "From a question's arrival to the first words of its answer",
    ["model"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2.5, 5, 10, 30),
)
ANSWERS = Histogram(
    "botgpt_answer_seconds",
    "From a question's arrival to its saved answer, by how the answer ended",
    ["model", "status"],
    buckets=SECONDS,
)
TOKENS = Counter(
    "botgpt_tokens",
    "Tokens of prompts (those cached are among them and told again) and completions",
    ["model", "purpose", "kind"],
)
COST = Counter("botgpt_cost_usd", "What models were paid", ["model", "purpose"])
STREAMS = Gauge(
    "botgpt_streams_open",
    "Event streams that clients listen to, of answers under way in the same process or elsewhere",
    ["source"],
    multiprocess_mode="livesum",
)
