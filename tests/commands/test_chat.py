"""`manage.py chat`, as its users meet it: a process in a terminal, or in a pipe."""

import os
import signal
import subprocess
import sys
from uuid import uuid4

import pexpect
import psutil
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from psycopg.conninfo import make_conninfo

from conversations.management.commands.chat import LOCAL_USER
from conversations.models import Conversation, Message
from tests import fake_groq
from tests.factories import (
    complete,
    make_conversation,
    make_document,
    make_pending,
    make_user,
)
from tests.launch.test_launch import ROOT
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)

CHAT = [str(ROOT / "manage.py"), "chat"]
COUNTING = " ".join(f"number{n}" for n in range(200))


@pytest.fixture
def local():
    return make_user(LOCAL_USER)


@pytest.fixture
def environment(tmp_path, groq):
    """Variables of a process on the database of the test, with the scripted model."""
    database = connection.get_connection_params()
    names = ("host", "port", "user", "password", "dbname")
    address = make_conninfo(**{name: database[name] for name in names if database.get(name)})
    return {
        "PATH": os.environ["PATH"],
        "TERM": "xterm",
        "DATABASE_URL": address,
        "SECRET_KEY": "only-for-tests-0123456789-abcdefghijklmnopqrstuvwxyz",
        "BOTGPT_DATA_DIR": str(tmp_path),
        "GROQ_API_KEY": "gsk_test",
        "GROQ_BASE_URL": groq.url,
        "GROQ_MAX_RETRIES": "0",
    }


@pytest.fixture
def terminal(environment):
    """Starts it in a terminal, and waits for its prompt."""
    started = []

    def start(*options):
        child = pexpect.spawn(
            sys.executable, [*CHAT, *options], env=environment, encoding="utf-8", timeout=60
        )
        started.append(child)
        child.delaybeforesend = None
        child.expect_exact("> ")
        return child

    yield start
    for child in started:
        child.close(force=True)


@pytest.fixture
def pipe(environment):
    """Gives it lines, and returns the process when it has ended."""

    def run(lines, *options):
        return subprocess.run(
            [sys.executable, *CHAT, *options],
            input=lines,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


def said(child, question):
    """All that is written between a question and the next prompt."""
    child.sendline(question)
    child.expect_exact(f"{question}\r\n")
    child.expect_exact("> ")
    return child.before.replace("\r\n", "\n")


def wait_for_keys(child):
    """Until it sleeps: between the prompt and that, Python itself may lose a Ctrl-C."""
    process = psutil.Process(child.pid)
    wait_for(lambda: process.status() == psutil.STATUS_SLEEPING)


def ended(child):
    child.expect(pexpect.EOF)
    child.close()
    return child.exitstatus, child.before


def test_words_are_written_as_they_come(terminal, groq):
    child = terminal()
    groq.script(fake_groq.answer("One two three four.", delay=0.3))

    child.sendline("Count")
    child.expect_exact("One two ")

    assert not Message.objects.filter(content__contains="four").exists()
    child.expect_exact("three four.")
    child.expect_exact("120 tokens (100 + 20), 0.000022 USD")
    child.expect_exact("> ")
    assert Message.objects.get(position=1).content == "One two three four."


def test_the_model_sees_what_was_said_before(terminal, groq):
    child = terminal("--system", "Speak like a pirate.")
    said(child, "My name is Ada")

    said(child, "Who am I?")

    system, *rest = groq.received[-1].body["messages"]
    assert "Speak like a pirate." in system["content"]
    contents = [message["content"] for message in rest]
    assert contents == ["My name is Ada", "You asked: My name is Ada", "Who am I?"]
    conversation = Conversation.objects.get()
    assert (conversation.user_id, conversation.mode) == (LOCAL_USER, "open_chat")


def test_a_grounded_answer_lists_its_citations(terminal, local):
    make_document(local)
    child = terminal("--document", "museum.txt")

    answer = said(child, "What does a ticket cost?")

    assert "You asked: What does a ticket cost? [1]\n[1] museum.txt, page 1" in answer
    assert '    "A ticket costs 14.50 euros.' in answer


def test_ctrl_c_stops_the_answer_and_keeps_what_was_said(terminal, groq):
    child = terminal()
    groq.script(fake_groq.answer(COUNTING, delay=0.05))
    child.sendline("Count")
    child.expect_exact("number3 ")

    child.sendintr()
    child.expect_exact("Stopped.")
    child.expect_exact("> ")

    answer = Message.objects.get(position=1)
    assert answer.status == "cancelled"
    assert answer.content.startswith("number0 number1 number2 number3")
    assert "number199" not in answer.content
    assert "You asked: And then?" in said(child, "And then?")


def test_a_stopped_answer_can_be_asked_again(terminal, groq):
    child = terminal()
    groq.script(fake_groq.answer(COUNTING, delay=0.05))
    child.sendline("Count")
    child.expect_exact("number3 ")
    child.sendintr()
    child.expect_exact("Stopped.")
    child.expect_exact("> ")

    assert "You asked: Count" in said(child, "/retry")
    assert Message.objects.filter(role="assistant").count() == 1


@pytest.mark.parametrize("end", ["sendintr", "sendeof"])
def test_ctrl_c_and_ctrl_d_at_the_prompt_end_it_kindly(terminal, end):
    child = terminal()
    said(child, "Hello")

    wait_for_keys(child)
    getattr(child, end)()

    status, last = ended(child)
    assert status == 0
    assert f"--conversation {Conversation.objects.get().pk}" in last
    assert "Traceback" not in last


def test_an_earlier_conversation_goes_on_after_its_history(terminal, local, groq):
    conversation = make_conversation(local)
    child = terminal("--conversation", str(conversation.pk))
    child.expect_exact("Hello there\r\nHello.\r\n")
    child.expect_exact("> ")

    said(child, "And now?")

    contents = [message["content"] for message in groq.received[-1].body["messages"][1:]]
    assert contents == ["Hello there", "Hello.", "And now?"]


def test_the_commands(terminal, groq):
    child = terminal()
    said(child, "Hello")

    assert "> Hello\nYou asked: Hello\n" in child_history(child)
    assert "reads no documents" in said(child, "/documents")
    assert "* openai/gpt-oss-120b" in said(child, "/model")
    said(child, "/model openai/gpt-oss-20b")
    assert "openai/gpt-oss-20b" in said(child, "/regenerate")
    assert "Unknown model" in said(child, "/model gpt-9")
    assert "/foo: no such command" in said(child, "/foo")
    assert "/regenerate" in said(child, "/help")
    said(child, "/new")
    assert "no answer yet" in said(child, "/regenerate")
    said(child, "Anew")
    assert Conversation.objects.count() == 2
    child.sendline("/quit")
    assert ended(child)[0] == 0


def child_history(child):
    """The history holds prompts of its own: all up to the end of the answer, then the prompt."""
    child.sendline("/history")
    child.expect_exact("/history\r\n")
    child.expect_exact("You asked: Hello\r\n")
    shown = (child.before + child.after).replace("\r\n", "\n")
    child.expect_exact("> ")
    return shown


def test_an_error_is_one_line_and_the_chat_goes_on(terminal, groq):
    child = terminal()
    groq.script(fake_groq.error(500))

    failed = said(child, "Hello")

    assert len(failed.strip().splitlines()) == 1
    assert "overloaded or out of service" in failed
    assert "upstream secret words" not in failed
    assert "You asked: Hello" in said(child, "/retry")


def test_what_a_model_says_cannot_steer_the_terminal(terminal, groq):
    child = terminal()
    groq.script(fake_groq.answer("\x1b[2J\x1b]0;title\x07Hello"))

    answer = said(child, "Hi")

    assert "\x1b[2J" not in answer
    assert "\ufffd[2J\ufffd]0;title\ufffdHello" in answer


def test_each_line_of_a_pipe_is_a_question(pipe, local):
    make_document(local)

    done = pipe("What does a ticket cost?\n\nWhen does it open?\n", "--mode", "grounded_rag")

    assert done.returncode == 0, done.stderr
    assert done.stdout.count("[1] museum.txt, page 1") == 2
    assert "You asked: What does a ticket cost? [1]\n" in done.stdout
    assert "tokens" not in done.stdout
    assert done.stderr.count(" tokens (") == 2
    assert "\x1b" not in done.stdout + done.stderr
    assert Conversation.objects.count() == 1


def test_a_pipe_goes_on_past_a_failure_and_fails_at_the_end(pipe, groq):
    groq.script(fake_groq.error(500))

    done = pipe("One\nTwo\n")

    assert done.returncode == 1
    assert done.stdout == "You asked: Two\n"
    assert "1 of the lines failed" in done.stderr


def test_ctrl_c_ends_a_pipe(environment, groq):
    groq.script(fake_groq.answer(COUNTING, delay=0.05))
    process = subprocess.Popen(
        [sys.executable, *CHAT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        text=True,
    )
    process.stdin.write("Count\nAnd again\n")
    process.stdin.close()
    assert process.stdout.read(len("number0 ")) == "number0 "

    process.send_signal(signal.SIGINT)

    assert process.wait(60) == 130
    assert len(groq.received) == 1
    assert Message.objects.get(position=1).status == "cancelled"
    process.stdout.close()
    process.stderr.close()


def test_lines_that_cannot_be_stored_are_asked_all_the_same(pipe):
    done = pipe("What is \x00 this?\n")

    assert (done.returncode, done.stdout) == (0, "You asked: What is \ufffd this?\n")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--document", "nowhere.pdf"], "no document nowhere.pdf"),
        (["--document", str(uuid4())], "no document"),
        (["--document", "x", "--mode", "open_chat"], "open_chat reads no documents"),
        (["--model", "gpt-9"], "Unknown model"),
        (["--conversation", str(uuid4())], "no such conversation"),
        (["--conversation", str(uuid4()), "--system", "x"], "name its id alone"),
    ],
)
def test_wrong_options_are_told(options, told):
    with pytest.raises(CommandError, match=told):
        call_command("chat", *options)


def test_what_is_anothers_is_not_found(user):
    conversation, document = make_conversation(user), make_document(user)

    for options in (["--conversation", conversation.pk], ["--document", document.pk]):
        with pytest.raises(CommandError, match="no "):
            call_command("chat", *map(str, options))


def test_a_document_that_is_still_being_read_is_told(pipe, local):
    make_pending(local)

    done = pipe("What does a ticket cost?\n", "--mode", "grounded_rag")

    assert "still being read" in done.stderr
    assert not Conversation.objects.exists()


def test_one_of_many_documents_is_chosen_by_its_id(pipe, local):
    make_document(local)
    zoo = make_document(local, "A ticket to the zoo costs 9 euros.", "zoo.txt")

    done = pipe("What does a ticket cost?\n/documents\n", "--document", str(zoo.pk))

    assert "[1] zoo.txt, page 1" in done.stdout
    assert "museum.txt" not in done.stdout
    assert f"{zoo.pk}  zoo.txt" in done.stdout


def test_a_long_history_tells_what_it_leaves_out(pipe, local):
    conversation = make_conversation(local)
    for number in range(30):
        complete(conversation.ask(f"Question {number}")[1], "Yes.")

    done = pipe("", "--conversation", str(conversation.pk))

    assert "(12 earlier messages)" in done.stderr
    assert "> Question 29\nYes.\n" in done.stdout
