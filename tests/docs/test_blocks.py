"""Every block of code in README.md and docs/ does what the page says, or says why it is not run."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.docs import chromium
from tests.docs.commands import CALLER, UNLIKE
from tests.docs.pages import PAGES, PROSE, ROOT, Block, blocks
from tests.docs.scripts import last_json, misfits, printed, script, shown_answers
from tests.fake_groq import FakeGroq, Handler, Received, answer, echo
from tests.launch.test_launch import environment, free_port, served

# All that needs Docker, a key, a collector or a program of another maker.
MOST_NOT_RUN = 20
RUN = {"sh": ["bash"], "python": [sys.executable], "js": ["node"]}


@dataclass(frozen=True, slots=True)
class Product:
    """A running product whose model is scripted, and what stands for `python` on its pages."""

    port: int
    variables: Mapping[str, str]
    python: str


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """One for all pages, which come one after the other."""
    data_dir, port = tmp_path_factory.mktemp("product"), free_port()
    with FakeGroq() as groq:
        groq.script(model_says)
        model = {"GROQ_API_KEY": "gsk_test", "GROQ_BASE_URL": groq.url, "GROQ_MAX_RETRIES": 0}
        variables = environment(data_dir, **model)
        with (
            served(data_dir, port, **model),
            commands_at(data_dir / "commands", variables) as python,
        ):
            yield Product(port, variables, python)


# What `uvx` would fetch is there, in the version that the page names, which it holds to.
UVX = """\
#!{python}
import runpy, sys
from importlib.metadata import version
name, _, wanted = sys.argv[1].partition("==")
assert wanted == version(name), f"{{name}} {{version(name)}} is tested here"
sys.argv = sys.argv[1:]
runpy.run_module(name.replace("-", "_"), run_name="__main__")
"""


@contextmanager
def commands_at(address: Path, variables: dict[str, str]) -> Iterator[str]:
    """A script that stands for `python` and is quick about `manage.py`."""
    command = [sys.executable, "-m", "tests.docs.commands", str(address)]
    with subprocess.Popen(command, cwd=ROOT, env=variables) as server:
        try:
            deadline = time.monotonic() + 90
            while not address.exists():
                assert server.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.02)
            yield CALLER.format(python=sys.executable, socket=str(address), unlike=UNLIKE)
        finally:
            server.kill()


def model_says(handler: Handler, request: Received) -> None:
    """A story takes its time, so that it can be stopped; the rest is an echo."""
    handler.server.replies.append(model_says)
    if "story" in request.body["messages"][-1]["content"]:
        answer("Once upon a time " * 100, delay=0.1)(handler, request)
    else:
        echo(handler, request)


@pytest.mark.parametrize("path", PAGES, ids=[path.name for path in PAGES])
def test_the_blocks_of_a_page_work(path: Path, product: Product, tmp_path: Path) -> None:
    """In the project's folder as it were, one language after the other: the shell's is first."""
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name, text in (("python", product.python), ("uvx", UVX.format(python=sys.executable))):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    (tmp_path / "manage.py").symlink_to(ROOT / "manage.py")
    (tmp_path / ".curlrc").write_text("fail-with-body\n")
    found, variables = blocks(path), {**product.variables, "CURL_HOME": str(tmp_path)}
    variables["PATH"] = f"{programs}{os.pathsep}{variables['PATH']}"
    answers: dict[int, str] = {}
    for language in RUN:
        text = _addressed(script(found, language), product.port)
        if language == "js" and text and not shutil.which("node"):
            answers |= printed(chromium.printed_by(text, f"http://127.0.0.1:{product.port}"))
        elif text:
            file = tmp_path / (f"{path.name}.mjs" if language == "js" else path.name)
            file.write_text(text)
            answers |= printed(_output(path, [*RUN[language], str(file)], tmp_path, variables))
            variables |= _left_by(tmp_path / ".environment")

    for block, shown in shown_answers(found):
        if not (block.not_run or shown.not_run):
            _compare(shown, answers[block.last])


def _addressed(text: str, port: int) -> str:
    return text.replace("127.0.0.1:8000", f"127.0.0.1:{port}").replace(
        "localhost:8000", f"localhost:{port}"
    )


def _output(path: Path, command: list[str], folder: Path, variables: dict[str, str]) -> str:
    if "jq " in Path(command[-1]).read_text() and shutil.which("jq") is None:
        pytest.skip("needs jq")
    done = subprocess.run(
        command, cwd=folder, env=variables, capture_output=True, text=True, timeout=60
    )
    told = f"{done.stderr}\nafter it printed:\n{done.stdout[-2000:]}"
    assert done.returncode == 0, f"{path.relative_to(ROOT)}: {told}"
    return done.stdout


def _left_by(file: Path) -> dict[str, str]:
    """The environment at the end of a script of the shell."""
    if not file.exists():
        return {}
    pairs = (one.partition("=") for one in file.read_text().split("\0") if one)
    return {name: value for name, _, value in pairs}


def _compare(shown: Block, output: str) -> None:
    real = last_json(output)
    faults = list(misfits(json.loads(shown.text), real))
    assert not faults, f"{shown.where}: {'; '.join(faults)}\nThe answer is {json.dumps(real)}"


def every_block() -> list[Block]:
    return [block for path in PAGES for block in blocks(path)]


def test_a_block_that_is_not_run_says_why() -> None:
    silent = [block.where for block in every_block() if block.not_run == ""]
    assert silent == [], "no reason behind `not run:`"
    assert len([block for block in every_block() if block.not_run]) <= MOST_NOT_RUN


def test_every_block_is_of_a_language_that_is_tried() -> None:
    tried = {*RUN, *PROSE, "json", "env", "yaml"}
    assert [b.where for b in every_block() if b.language not in tried and not b.not_run] == []


def test_json_yaml_and_settings_are_well_formed() -> None:
    known = {line.partition("=")[0] for line in (ROOT / ".env.example").read_text().splitlines()}
    for block in every_block():
        if block.not_run:
            continue
        try:
            if block.language == "json":
                json.loads(block.text)
            elif block.language == "yaml":
                yaml.safe_load(block.text)
        except (ValueError, yaml.YAMLError) as error:
            pytest.fail(f"{block.where}: {error}")
        if block.language == "env":
            lines = [line for line in block.lines if line and not line.startswith("#")]
            assert {line.partition("=")[0] for line in lines} <= known, block.where
