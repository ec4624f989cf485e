"""The models that conversations can name, with their windows and prices."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal

from llm.messages import Effort, Usage

# When Groq's list prices were read (https://groq.com/pricing), in USD per million tokens. Prompt
# tokens that were cached cost half for the models that have a prompt cache: all but Llama.
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
    prices_as_of: date = PRICES_AS_OF
    encoding: str = "o200k_base"
    # o200k_base counts text as gpt-oss does, which only adds special tokens to it. For the others
    # nothing public is exact, so their counts get a margin.
    token_margin: float = 1.0
    # The reasoning efforts it takes, least first; none where it does not reason. Its thoughts are
    # paid as completion tokens.
    efforts: tuple[Effort, ...] = ()
    # Where it has to be asked to keep its thoughts out of the answer's text
    # (https://console.groq.com/docs/reasoning); gpt-oss does so anyway, and refuses to be asked.
    reasoning_format: Literal["parsed"] | None = None
    input_modalities: tuple[str, ...] = ("text",)
    # The model that answers where the provider does not serve this one to our key.
    successor: str = ""

    def cost(self, usage: Usage) -> Decimal:
        """What this usage costs, in USD."""
        prompt = (usage.prompt_tokens - usage.cached_tokens) * self.prompt_price
        cached = usage.cached_tokens * self.cached_price
        return (prompt + cached + usage.completion_tokens * self.completion_price) / MILLION

    def answer_tokens(self, wanted: int) -> int:
        """How many tokens an answer may take where so many are wanted."""
        return min(wanted, self.max_output)

    def effort(self, wanted: Effort | None) -> Effort | None:
        """What to ask this model for where such an effort is wanted; None for its own default.

        Where it has no such effort, its least one stands for `none` and `low`.
        """
        if wanted in self.efforts:
            return wanted
        return self.efforts[0] if self.efforts and wanted in ("none", "low") else None

    def served_as(self, offered: Collection[str]) -> "Model":
        """Itself, or its successor where only that one is among the models offered to our key."""
        is_replaced = self.name not in offered and self.successor in offered
        return MODELS[self.successor] if is_replaced else self


_GPT_OSS_EFFORTS: tuple[Effort, ...] = ("low", "medium", "high")
# Of the encodings at hand cl100k_base is nearest to Qwen's: by the vocabulary of an earlier Qwen
# texts in twelve languages have at most 1.05 times as many tokens, and annual reports 1.07. Pages
# of figures have more, up to 1.5, since each digit is a token.
_QWEN_ENCODING, _QWEN_MARGIN = "cl100k_base", 1.25
_QWEN_EFFORTS: tuple[Effort, ...] = ("none", "default")
_QWEN_PRICES_AS_OF = date(2026, 12, 1)

_ALL = (
    Model(
        "openai/gpt-oss-120b",
        context_window=131_072,
        max_output=65_536,
        prompt_price=Decimal("0.15"),
        cached_price=Decimal("0.075"),
        completion_price=Decimal("0.60"),
        efforts=_GPT_OSS_EFFORTS,
    ),
    Model(
        "openai/gpt-oss-20b",
        context_window=131_072,
        max_output=65_536,
        prompt_price=Decimal("0.075"),
        cached_price=Decimal("0.0375"),
        completion_price=Decimal("0.30"),
        efforts=_GPT_OSS_EFFORTS,
    ),
    Model(
        "qwen/qwen3.8-27b",
        context_window=131_042,
        max_output=16_384,
        prompt_price=Decimal("0.80"),
        cached_price=Decimal("0.40"),
        completion_price=Decimal("4.00"),
        prices_as_of=_QWEN_PRICES_AS_OF,
        encoding=_QWEN_ENCODING,
        token_margin=_QWEN_MARGIN,
        efforts=_QWEN_EFFORTS,
        reasoning_format="parsed",
        input_modalities=("text", "image"),
    ),
    Model(
        "qwen/qwen3.6-27b",
        context_window=131_072,
        max_output=16_384,
        prompt_price=Decimal("0.60"),
        cached_price=Decimal("0.30"),
        completion_price=Decimal("3.00"),
        prices_as_of=_QWEN_PRICES_AS_OF,
        encoding=_QWEN_ENCODING,
        token_margin=_QWEN_MARGIN,
        efforts=_QWEN_EFFORTS,
        reasoning_format="parsed",
        input_modalities=("text", "image"),
    ),
    # Since 2026-08-16 Groq serves these to enterprise keys alone.
    Model(
        "llama-3.3-70b-versatile",
        context_window=131_072,
        max_output=32_768,
        prompt_price=Decimal("0.59"),
        cached_price=Decimal("0.59"),
        completion_price=Decimal("0.79"),
        token_margin=1.15,
        successor="openai/gpt-oss-120b",
    ),
    Model(
        "llama-3.1-8b-instant",
        context_window=131_072,
        max_output=131_072,
        prompt_price=Decimal("0.05"),
        cached_price=Decimal("0.05"),
        completion_price=Decimal("0.08"),
        token_margin=1.15,
        successor="openai/gpt-oss-20b",
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


def find_all(names: Iterable[str]) -> list[Model]:
    """The models of these names, then their successors: each that may have to answer, once."""
    named = [find(name) for name in names]
    successors = [find(model.successor) for model in named if model.successor]
    return list(dict.fromkeys([*named, *successors]))
