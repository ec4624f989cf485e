"""Answers under way in this process: each goes on by itself, whoever listens or leaves.

The model's words are read joined: the first at once, later ones after pauses that grow with the
number of answers, because reading and sending cost more than waiting. Every so often the words of
all answers together are saved in one statement, which brings back the wish to stop any of them.

Where questions come faster than they are begun, answers whose words are heard let them go first for
a while: who has no word yet waits the hardest.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager
from contextvars import Context, copy_context
from enum import Enum
from functools import cache, partial
from os import getpid
from typing import Any
from uuid import UUID

from django.db import Error, InterfaceError, OperationalError, connection
from django.utils import timezone
from uuid_utils.compat import uuid7

from conversations import exceptions, metrics
from conversations.database import in_database
from conversations.models import EndedBefore, Message, WebProcess
from conversations.models.insertion import as_json
from conversations.turn import Plan, Turn
from documents import origin, tracing
from documents.lifetimes import search_beside
from llm.messages import Completion, Delta

logger = logging.getLogger(__name__)

# Seconds. The pause after a piece is this for each answer under way, within bounds: a reader sees
# no step below a tenth of a second or so, and where a thousand answers share a process, first words
# that come at once are worth more than later ones that come evenly.
PAUSE_AN_ANSWER = 0.002
SHORTEST_PAUSE = 0.02
LONGEST_PAUSE = 1.0
# And this for each question that is not begun yet.
PAUSE_A_QUESTION = 0.02
# From so many of them on the end of a streamed answer waits for them, so many seconds at most.
MANY_QUESTIONS = 4
LONGEST_COURTESY = 1.5
COURTESY_STEP = 0.1
# How much of an answer a process that dies may take with it; as much as it says at once, if more.
SAVE_SECONDS = 0.25
SIGN_OF_LIFE_SECONDS = 2.0
# What saving answers takes that did not end in the time they were given.
SAVING_SECONDS = 3
# How long one whose saving failed waits at most to be saved again, once the database answers.
LONGEST_WAIT = 5.0

# Pieces of answers that still are to come; of one that ended meanwhile nothing is kept.
SAVE_PIECES = """
INSERT INTO conversations_streamedtext (message_id, start, text)
SELECT piece.id, piece.start, piece.text
FROM jsonb_to_recordset(%s) AS piece(id uuid, start int, text text)
JOIN conversations_message AS message ON message.id = piece.id AND message.status = 'pending'
ON CONFLICT DO NOTHING
"""


class Stop(Enum):
    """Why an answer is ended before its end."""

    CANCELLED = Message.Status.CANCELLED
    SHUTDOWN = Message.Status.INTERRUPTED


@cache
def _process_id(pid: int) -> UUID:
    """An id for each process; one that is forked has its own."""
    return uuid7()


def process_id() -> UUID:
    """The id under which this process answers."""
    return _process_id(getpid())


class LiveAnswer:
    """One answer under way: what was said so far, and how it ended."""

    def __init__(self, turn: Turn, everyone: "LiveAnswers") -> None:
        self.turn, self.everyone = turn, everyone
        self.said = ""
        self.saved = 0
        self.searched, self.ended = turn.plan is not None, False
        self.error: BaseException | None = None
        self.why_stopped: Stop | None = None
        self.listeners = 0
        self._begun = self._saving = False
        self._waiting: list[asyncio.Future[bool]] = []
        self._asked_at = origin.began.get() or time.perf_counter()
        self.task = asyncio.create_task(self._run())

    async def changed(self, within: float | None = None) -> bool:
        """True when there is more to tell; False where there is not within so many seconds."""
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[bool] = loop.create_future()
        self._waiting.append(waiting)
        if within is None:
            return await waiting
        # For each step of each stream: asyncio.timeout takes several times as long.
        timer = loop.call_later(within, _end_waiting, waiting, False)
        try:
            return await waiting
        finally:
            timer.cancel()

    def wake(self) -> None:
        """Lets listeners see what has changed."""
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            _end_waiting(one, True)

    async def wait(self) -> None:
        """Returns when the answer is saved. Raises as the API tells where it failed."""
        while not self.ended:
            await self.changed()
        if self.error is not None:
            raise self.turn.told(self.error) from self.error
        if problem := exceptions.of_ended(self.turn.answer):
            raise problem

    async def first_words(self) -> None:
        """Returns when there are some, or it has ended. Raises as `wait` where it failed before."""
        while not self.said and not self.ended:
            await self.changed()
        if not self.said:
            await self.wait()

    def stop(self, why: Stop) -> None:
        """Ends the answer now, with what was said; one that is being saved is whole already."""
        if self.why_stopped is None and not self._saving and not self.ended:
            self.why_stopped = why
            if self._begun:  # a task cancelled before its first step would settle nothing
                self.task.cancel()

    async def _run(self) -> None:
        self._begun = True
        try:
            if self.why_stopped:
                raise asyncio.CancelledError
            plan, completion = await self._ask()
            self._saving = True
            if self.listeners:  # who waits for the whole answer has no word yet either
                await self.everyone.let_questions_first()
            with tracing.span("save"):
                await self._save(partial(self.turn.save, plan, completion, self.said))
        except asyncio.CancelledError:
            why = self.why_stopped or Stop.SHUTDOWN
            self._saving = True
            await self._settle(partial(self.turn.stop, why.value, self.said))
        except Exception as error:
            self.error = error
            await self._settle(partial(self.turn.fail, error, self.said))
        finally:
            self.ended = True
            self.everyone.forget(self)
            self.wake()
            self._count()

    async def _ask(self) -> tuple[Plan, Completion]:
        """The model's answer, whose text is in `said` by then."""
        plan = await self.turn.prepare()
        self.searched = True
        self.wake()
        with tracing.span("ask", **{"gen_ai.request.model": plan.models[0]}):
            stream = plan.responder.stream(
                plan.messages,
                models=plan.models,
                max_tokens=plan.max_tokens,
                sampling=plan.sampling,
            )
            async with aclosing(stream):
                completion = await self._hear(stream)
            usage = completion.usage
            tracing.note(**{"gen_ai.response.model": completion.model})
            tracing.note(**{"gen_ai.usage.input_tokens": usage.prompt_tokens})
            tracing.note(**{"gen_ai.usage.output_tokens": usage.completion_tokens})
        self._say(self.turn.marks.rest())
        return plan, completion

    async def _hear(self, stream: AsyncIterator[Delta | Completion]) -> Completion:
        """Says what comes, with pauses in which more comes together; returns the whole."""
        async for part in stream:
            if isinstance(part, Completion):
                return part
            self.turn.speaker = part.model
            self._say(self.turn.marks.feed(part.text))
            # A piece may hold nothing to tell yet: the beginning of a citation's mark.
            if self.said and not part.is_last:
                await asyncio.sleep(self.everyone.pause)
        raise AssertionError("a stream that ends without its completion raises")

    def _say(self, text: str) -> None:
        if not text:
            return
        if not self.said:
            self.turn.first_words_at = timezone.now()
            tracing.event("first_token")
            waited = time.perf_counter() - self._asked_at
            metrics.FIRST_TOKEN.labels(self.turn.speaker or "none").observe(waited)
        self.said += text
        self.wake()

    def _count(self) -> None:
        turn = self.turn
        model = turn.answer.model or turn.speaker or (turn.plan.models[0] if turn.plan else "none")
        ended = metrics.ANSWERS.labels(model, str(turn.answer.status))
        ended.observe(time.perf_counter() - self._asked_at)

    async def _settle(self, settle: Callable[[], None]) -> None:
        """Saves how it ended, where it did not end well."""
        try:
            await self._save(settle)
        except Message.DoesNotExist:
            pass  # deleted meanwhile
        except Exception as error:
            self.error = self.error or error
            logger.exception("ending an answer failed", extra={"answer": self.turn.answer.pk})

    async def _save(self, save: Callable[[], None]) -> None:
        """Saves how it ended. While the database is away it waits for it, to the process's end.

        So no answer is lost, and none stays to come for ever in a process that lives.
        """
        pause = 0.0
        while True:
            try:
                return await in_database(save)
            except EndedBefore:
                return await in_database(self.turn.take_as_stored)
            except (OperationalError, InterfaceError) as error:
                ids = {"answer": self.turn.answer.pk, "why": type(error.__cause__).__name__}
                logger.warning("saving an answer failed: it will be tried again", extra=ids)
            await asyncio.sleep(pause)
            pause = min(LONGEST_WAIT, pause + SAVE_SECONDS)
            await self.everyone.database_answers()


def _end_waiting(waiting: asyncio.Future[bool], changed: bool) -> None:
    if not waiting.done():
        waiting.set_result(changed)


class LiveAnswers:
    """All answers under way in one event loop: a server has one."""

    def __init__(self) -> None:
        self._answers: dict[UUID, LiveAnswer] = {}
        self._saves: asyncio.Task[None] | None = None
        self._saved = asyncio.Event()
        self._questions = 0
        self._interruption: asyncio.TimerHandle | None = None
        self._is_over = False

    def start(self, turn: Turn) -> LiveAnswer:
        """Begins to answer."""
        answer = LiveAnswer(turn, self)
        self._answers[turn.answer.pk] = answer
        search_beside(len(self._answers))
        if self._saves is None or self._saves.done():
            self._saves = asyncio.create_task(self._save_all(), context=_of_nobody())
        if self._is_over:
            answer.stop(Stop.SHUTDOWN)
        return answer

    def find(self, answer_id: UUID) -> LiveAnswer | None:
        """The answer of that id where it is under way here."""
        return self._answers.get(answer_id)

    def forget(self, answer: LiveAnswer) -> None:
        """It has ended."""
        self._answers.pop(answer.turn.answer.pk, None)
        search_beside(len(self._answers))

    @contextmanager
    def beginning(self) -> Iterator[None]:
        """While a question is admitted and saved: answers under way let it go first."""
        self._questions += 1
        try:
            yield
        finally:
            self._questions -= 1

    async def let_questions_first(self) -> None:
        """Returns when few wait to be begun, or after a while."""
        until = time.monotonic() + LONGEST_COURTESY
        while self._questions >= MANY_QUESTIONS and time.monotonic() < until:
            await asyncio.sleep(COURTESY_STEP)

    @property
    def pause(self) -> float:
        """For how many seconds each answer lets its model's words come together."""
        wanted = PAUSE_AN_ANSWER * len(self._answers) + PAUSE_A_QUESTION * self._questions
        return min(LONGEST_PAUSE, max(SHORTEST_PAUSE, wanted))

    def interrupt_after(self, seconds: float) -> None:
        """Answers may go on for so long, those that start meanwhile too; the first call counts.

        What has not ended by then is saved as interrupted.
        """
        if self._interruption is None:
            self._interruption = asyncio.get_running_loop().call_later(seconds, self._interrupt)
            if self._answers:
                logger.info("waiting for answers", extra={"answers": len(self._answers)})

    def _interrupt(self) -> None:
        self._is_over = True
        for answer in list(self._answers.values()):
            answer.stop(Stop.SHUTDOWN)

    async def ended(self) -> None:
        """Returns when no answer is in progress; soon after they were interrupted in any case."""
        while self._answers and not self._is_over:
            await asyncio.wait(self._tasks(), timeout=SAVING_SECONDS)
        if self._answers:
            await asyncio.wait(self._tasks(), timeout=SAVING_SECONDS)

    def _tasks(self) -> list[asyncio.Task[None]]:
        return [answer.task for answer in self._answers.values()]

    async def database_answers(self) -> None:
        """Returns when words of answers under way have been saved again."""
        self._saved.clear()
        await self._saved.wait()

    async def _save_all(self) -> None:
        while self._answers:
            await asyncio.sleep(max(SAVE_SECONDS, self.pause))
            pieces = [(one, one.saved, one.said[one.saved :]) for one in self._answers.values()]
            rows = [
                {"id": one.turn.answer.pk, "start": start, "text": text}
                for one, start, text in pieces
                if text
            ]
            for one, start, text in pieces:
                one.saved = start + len(text)
            try:
                to_cancel = await in_database(_save_pieces, rows)
            except Error:
                # The words are still here: they are saved with the next ones.
                logger.warning("saving answers under way failed", exc_info=True)
                for one, start, _ in pieces:
                    one.saved = start
                continue
            self._saved.set()
            for answer_id in to_cancel:
                if answer := self.find(answer_id):
                    answer.stop(Stop.CANCELLED)


def _of_nobody() -> Context:
    """This context for what is done for all answers: not the request's that happens to begin it."""
    context = copy_context()
    context.run(origin.forget)
    return context


_by_loop: dict[asyncio.AbstractEventLoop, LiveAnswers] = {}


def answers() -> LiveAnswers:
    """Those of the running event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _by_loop:
        for closed in [known for known in _by_loop if known.is_closed()]:
            del _by_loop[closed]
        _by_loop[loop] = LiveAnswers()
    return _by_loop[loop]


_last_sign: dict[UUID, float] = {}


def sign_of_life() -> UUID:
    """The id of this process, of which the database has been told lately that it lives."""
    own = process_id()
    if time.monotonic() - _last_sign.get(own, 0.0) > SIGN_OF_LIFE_SECONDS:
        WebProcess.sign_of_life(own)
        _last_sign[own] = time.monotonic()
    return own


def _save_pieces(rows: list[dict[str, Any]]) -> list[UUID]:
    """Saves pieces of answers; returns the answers that somebody wants to stop."""
    sign_of_life()
    if rows:
        with connection.cursor() as cursor:
            cursor.execute(SAVE_PIECES, [as_json(rows)])
    wanted = Message.objects.filter(status=Message.Status.PENDING, cancel_requested=True)
    return list(wanted.values_list("pk", flat=True))
