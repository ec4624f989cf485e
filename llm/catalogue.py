"""The models that conversations can name, with their windows and prices."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from llm.messages import Usage

# Groq's list prices, USD per million tokens (https://groq.com/pricing). Prompt tokens that were
# cached cost half for the models that have a prompt cache: of these, gpt-oss alone
# (https://console.groq.com/docs/prompt-caching).
PRICES_AS_OF = date(2026, 11, 24)
MILLION = Decimal(1_000_000)

# The name that answers bear which no model gave.
EXTRACTIVE = "extractive"


class UnknownModel(ValueError):
    """No model of that name is in the catalogue."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model. Windows are in tokens, prices in USD per million tokens."""

    name: str
    context_window: int
    max_output: int
    prompt_price: Decimal
    cached_price: Decimal
    completion_price: Decimal
    encoding: str = "o200k_base"
    # o200k_base counts text as gpt-oss does, which only adds special tokens to it. For Llama
    # nothing public is exact, so its counts get a margin.
    token_margin: float = 1.0
    # Thinks before it answers; the thoughts are paid as completion tokens.
    reasons: bool = False

    def cost(self, usage: Usage) -> Decimal:
        """What this usage costs, in USD."""
        prompt = (usage.prompt_tokens - usage.cached_tokens) * self.prompt_price
        cached = usage.cached_tokens * self.cached_price
        return (prompt + cached + usage.completion_tokens * self.completion_price) / MILLION

    def answer_tokens(self, wanted: int) -> int:
        """How many tokens an answer may take where so many are wanted."""
        return min(wanted, self.max_output)


_ALL = (
    Model(
        "llama-3.3-70b-versatile",
        context_window=131_072,
        max_output=32_768,
        prompt_price=Decimal("0.59"),
        cached_price=Decimal("0.59"),
        completion_price=Decimal("0.79"),
        token_margin=1.15,
    ),
    Model(
        "llama-3.1-8b-instant",
        context_window=131_072,
        max_output=131_072,
        prompt_price=Decimal("0.05"),
        cached_price=Decimal("0.05"),
        completion_price=Decimal("0.08"),
        token_margin=1.15,
    ),
    Model(
        "openai/gpt-oss-120b",
        context_window=131_072,
        max_output=65_536,
        prompt_price=Decimal("0.15"),
        cached_price=Decimal("0.075"),
        completion_price=Decimal("0.60"),
        reasons=True,
    ),
    Model(
        "openai/gpt-oss-20b",
        context_window=131_072,
        max_output=65_536,
        prompt_price=Decimal("0.075"),
        cached_price=Decimal("0.0375"),
        completion_price=Decimal("0.30"),
        reasons=True,
    ),
)
MODELS = {model.name: model for model in _ALL}
DEFAULT = _ALL[0].name

# Named by older clients and no longer served.
ALIASES = {"llama-3.1-70b-versatile": "llama-3.3-70b-versatile"}


def find(name: str) -> Model:
    """The model of that name or alias. Raises UnknownModel, naming those there are."""
    try:
        return MODELS[ALIASES.get(name, name)]
    except KeyError:
        raise UnknownModel(f"Unknown model. Known ones: {', '.join(MODELS)}.") from None
