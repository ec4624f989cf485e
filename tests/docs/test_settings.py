"""docs/configuration.md tells every setting of .env.example, which has all that are read."""

import re

from llm import catalogue
from tests.docs.pages import ROOT

EXAMPLE = re.compile(r"^([A-Z0-9_]+)=(.*)", re.MULTILINE)
ROW = re.compile(r"^\| `([A-Z0-9_]+)` \| (.*?) \|", re.MULTILINE)

EXAMPLES = dict(EXAMPLE.findall((ROOT / ".env.example").read_text()))
ROWS = dict(ROW.findall((ROOT / "docs" / "configuration.md").read_text()))


def test_the_page_tells_them_in_the_order_of_the_example() -> None:
    assert list(ROWS) == list(EXAMPLES)


def test_the_page_and_the_example_have_the_same_defaults() -> None:
    told = {name: text.strip("`") for name, text in ROWS.items()}
    other = {
        name: (value, told[name])
        for name, value in EXAMPLES.items()
        if value and value != told[name]
    }
    assert other == {}


def test_the_page_has_the_models_of_the_catalogue() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    rows = re.findall(r"^\| `([a-z/0-9.-]+)` \| (.*) \|$", page, re.MULTILINE)

    assert {name: [cell.strip() for cell in cells.split("|")] for name, cells in rows} == {
        model.name: [
            f"{model.context_window:,}",
            f"{model.max_output:,}",
            f"{model.prompt_price}, {model.cached_price}, {model.completion_price}",
            model.prices_as_of.isoformat(),
            ", ".join(model.efforts),
        ]
        for model in catalogue.MODELS.values()
    }
