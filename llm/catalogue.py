"""The models that conversations can name, with their windows and prices."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from llm.messages import Usage

# Groq's list prices, USD per million tokens.
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
    completion_price: Decimal
    encoding: str = "o200k_base"
    # o200k_base counts text as gpt-oss does, which only adds special tokens to it. For Llama
    # nothing public is exact, so its counts get a margin.
    token_margin: float = 1.0
    # Thinks before it answers; the thoughts are paid as completion tokens.
    reasons: bool = False

    def cost(self, usage: Usage) -> Decimal:
        """What this usage costs, in USD."""
        prompt = usage.prompt_tokens * self.prompt_price
        return (prompt + usage.completion_tokens * self.completion_price) / MILLION


_ALL = (
    Model(
        "llama-3.3-70b-versatile",
        131_072,
        32_768,
        Decimal("0.59"),
        Decimal("0.79"),
        token_margin=1.15,
    ),
    Model(
        "llama-3.1-8b-instant",
        131_072,
        131_072,
        Decimal("0.05"),
        Decimal("0.08"),
        token_margin=1.15,
    ),
    Model("openai/gpt-oss-120b", 131_072, 65_536, Decimal("0.15"), Decimal("0.60"), reasons=True),
    Model("openai/gpt-oss-20b", 131_072, 65_536, Decimal("0.075"), Decimal("0.30"), reasons=True),
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
