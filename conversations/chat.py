"""A conversation line by line, as `manage.py chat` leads it."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from django.core.exceptions import ObjectDoesNotExist
from rest_framework.exceptions import APIException

from conversations import live
from conversations.answering import require_read
from conversations.live import LiveAnswer, Stop
from conversations.models import Actor, ActorKind, AuditEntry, Conversation, Message
from conversations.models.conversation import Asking
from conversations.serializers import MESSAGE_CHARS, MESSAGES_SHOWN
from conversations.terminal import Terminal
from conversations.turn import Turn
from documents.models import Document
from llm import catalogue
from llm.messages import storable

HELP = """\
/history       what was said so far
/documents     the documents that answers rest on
/model [NAME]  another model from now on; without a name, those there are
/regenerate    another answer to the same question
/retry         ask again where an answer failed or was stopped
/new           begin a new conversation
/help          this list
/quit          end; Ctrl-D and Ctrl-C at the prompt do too
Ctrl-C while an answer comes stops it; what was said is kept."""


@dataclass(frozen=True, slots=True)
class Opening:
    """How a conversation is opened by its first question."""

    mode: Conversation.Mode
    model: str
    system_prompt: str = ""
    documents: tuple[Document, ...] = ()

    @classmethod
    def like(cls, conversation: Conversation) -> "Opening":
        """As that one was opened."""
        return cls(
            Conversation.Mode(conversation.mode),
            conversation.model,
            conversation.system_prompt,
            tuple(conversation.documents.all()),
        )


class Chat:
    """Takes lines, which are questions or commands, and tells the answers as they come."""

    def __init__(
        self,
        user: Any,
        opening: Opening,
        terminal: Terminal,
        conversation: Conversation | None = None,
    ) -> None:
        self.user, self.opening, self.terminal = user, opening, terminal
        self.conversation = conversation
        self.failures = 0
        self.stopped = False
        # One loop for all answers: the model's connections are kept with it.
        self.runner = asyncio.Runner()

    def take(self, lines: Iterable[str]) -> None:
        """Takes the lines until there is none, or one of them ends the program."""
        with self.runner:
            for line in lines:
                text = storable(line).strip()
                if text == "/quit":
                    break
                if text:
                    self._take(text)

    def history(self) -> None:
        """Prints the newest messages."""
        if self.conversation is None:
            self.terminal.note("Nothing was said yet.")
            return
        actor = Actor(ActorKind.USER, self.user.pk)
        self.conversation.note(AuditEntry.Action.VIEWED, actor)
        shown = self.conversation.messages.filter(active=True).with_all_it_rests_on()
        newest = list(shown.order_by("-position")[:MESSAGES_SHOWN])
        if newest and newest[-1].position:
            self.terminal.note(f"({newest[-1].position} earlier messages)")
        for message in reversed(newest):
            self.terminal.message(message)

    def _take(self, text: str) -> None:
        try:
            if text.startswith("/"):
                self._obey(*text.split(maxsplit=1))
            else:
                self._answer(lambda: self._ask(text))
        except (APIException, catalogue.UnknownModel) as error:
            self._fail(str(error))
        except ObjectDoesNotExist:
            self._fail("The conversation was deleted: /new begins another.")

    def _obey(self, command: str, argument: str = "") -> None:
        match command:
            case "/history":
                self.history()
            case "/documents":
                self._documents()
            case "/model":
                self._model(argument)
            case "/regenerate":
                self._answer(self._regenerate)
            case "/retry":
                self._answer(self._retry)
            case "/new":
                self.conversation = None
                self.terminal.note("The next question begins a new conversation.")
            case "/help":
                self.terminal.line(HELP)
            case _:
                self._fail(f"{command}: no such command; /help lists them.")

    def _documents(self) -> None:
        if self._mode() == Conversation.Mode.OPEN_CHAT:
            self.terminal.note("This is open chat, which reads no documents.")
            return
        found = list(self._searched())
        for document in found:
            self.terminal.document(document)
        if not found:
            self.terminal.note("There are none: manage.py ingest reads some.")

    def _model(self, name: str) -> None:
        current = self.conversation.model if self.conversation else self.opening.model
        if not name:
            for known in catalogue.MODELS:
                self.terminal.line(f"{'*' if known == current else ' '} {known}")
            return
        model = catalogue.find(name).name
        self.opening = replace(self.opening, model=model)
        if self.conversation is not None:
            self.conversation.model = model
            self.conversation.save(update_fields=["model"])
        self.terminal.note(f"{model} answers from now on.")

    def _ask(self, content: str) -> Turn:
        """Raises APIException."""
        if len(content) > MESSAGE_CHARS:
            raise APIException(f"A question has at most {MESSAGE_CHARS} characters.")
        if self._mode() == Conversation.Mode.GROUNDED_RAG:
            require_read(self._searched())
        if self.conversation is not None:
            return Turn(self.conversation, *self.conversation.ask(content, _asking(self.user)))
        opened = Conversation.objects.open(
            user=self.user,
            content=content,
            documents=self.opening.documents,
            asking=_asking(self.user),
            mode=self.opening.mode,
            model=self.opening.model,
            system_prompt=self.opening.system_prompt,
        )
        self.conversation = opened[0]
        return Turn(*opened)

    def _regenerate(self) -> Turn:
        """Raises APIException."""
        conversation, answer = self._last_answer()
        return Turn(conversation, *conversation.regenerate(answer.pk, _asking(self.user)))

    def _retry(self) -> Turn:
        """Raises APIException."""
        conversation, answer = self._last_answer()
        return Turn(conversation, *conversation.ask_again(answer.pk, _asking(self.user)))

    def _last_answer(self) -> tuple[Conversation, Message]:
        """Raises APIException where there is none."""
        if self.conversation is not None:
            answers = self.conversation.messages.shown().filter(role=Message.Role.ASSISTANT)
            if answer := answers.last():
                return self.conversation, answer
        raise APIException("There is no answer yet.")

    def _answer(self, begin: Callable[[], Turn]) -> None:
        """Tells the answer as it comes; Ctrl-C stops it."""
        answer = self.runner.run(self._told(begin()))
        turn = answer.turn
        if answer.said:
            self.terminal.line()
        if answer.error is not None:
            self._fail(str(turn.told(answer.error)))
            return
        kept = Message.objects.with_all_it_rests_on().get(pk=turn.answer.pk)
        self.terminal.citations(list(kept.citations.all()))
        self.terminal.usage(kept)
        self.stopped = kept.status == Message.Status.CANCELLED
        if self.stopped:
            self.terminal.note("Stopped. What was said is kept; /retry asks again.")

    async def _told(self, turn: Turn) -> LiveAnswer:
        answer = live.answers().start(turn)
        told = 0
        while not answer.ended:
            try:
                await answer.changed()
            except asyncio.CancelledError:  # Ctrl-C, by the runner
                answer.stop(Stop.CANCELLED)
            self.terminal.say(answer.said[told:])
            told = len(answer.said)
        return answer

    def _mode(self) -> str:
        return self.conversation.mode if self.conversation else self.opening.mode

    def _searched(self) -> Any:
        """The documents that answers rest on."""
        if self.conversation is not None:
            return self.conversation.searched_documents()
        own = Document.objects.visible_to(self.user.pk)
        chosen = [document.pk for document in self.opening.documents]
        return own.filter(pk__in=chosen) if chosen else own

    def _fail(self, text: str) -> None:
        self.failures += 1
        self.terminal.error(text)


def _asking(user: Any) -> Asking:
    actor = Actor(ActorKind.USER, user.pk)
    return Asking(process=live.sign_of_life(), limits=user.limits(), actor=actor)
