"""Writes SQuAD's passages and questions as a folder for `manage.py evaluate`.

    python -m tests.evaluation.squad SOURCE.json FOLDER [--every N]

One TXT file a passage; the evidence of a question is the passage it was asked about. Questions
that have no answer are left out.
"""

import json
import re
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def main() -> None:
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, metavar="SOURCE.json")
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="every n-th question")
    arguments = parser.parse_args()
    passages, questions = write(arguments.source, arguments.folder, arguments.every)
    print(f"{passages} passages and {questions} questions in {arguments.folder}")


def write(source: Path, folder: Path, every: int = 1) -> tuple[int, int]:
    """How many passages and questions were written."""
    folder.mkdir(parents=True, exist_ok=True)
    articles = json.loads(source.read_text())["data"]
    passages = list(_passages(articles))
    for name, paragraph in passages:
        (folder / name).write_text(paragraph["context"] + "\n")
    rows = [row for name, paragraph in passages for row in _questions(name, paragraph)][::every]
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    (folder / "questions.jsonl").write_text("\n".join(lines) + "\n")
    return len(passages), len(rows)


def _passages(articles: list[Any]) -> Iterator[tuple[str, Any]]:
    """With names that sort as the passages follow each other."""
    for number, article in enumerate(articles):
        title = re.sub(r"\W+", "-", article["title"], flags=re.ASCII).strip("-").lower()
        for place, paragraph in enumerate(article["paragraphs"]):
            yield f"{number:02}-{title}-{place:03}.txt", paragraph


def _questions(name: str, paragraph: Any) -> Iterator[dict[str, str]]:
    for row in paragraph["qas"]:
        if not row["is_impossible"]:
            yield {"id": row["id"], "question": row["question"], "document": name}


if __name__ == "__main__":
    main()
