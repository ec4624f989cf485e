"""The peer written by hand: FastAPI, langchain-groq, SQLAlchemy on asyncpg. It runs by itself.

    python fastapi_peer.py                        make the tables
    uvicorn --workers 2 fastapi_peer:app          serve

It stores what the product stores of an open conversation: the user on first use, the conversation,
the question, and the answer with its usage. No database connection is held while the model speaks.
"""

import asyncio
import json
import os
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_groq import ChatGroq
from pydantic import BaseModel
from sqlalchemy import ForeignKey
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

MODEL = "llama-3.3-70b-versatile"
engine = create_async_engine(
    os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+asyncpg://"),
    pool_size=20,
    max_overflow=0,
    pool_timeout=60,
)
Session = async_sessionmaker(engine, expire_on_commit=False)
model = ChatGroq(
    model=MODEL,
    api_key="x",
    base_url=os.environ["GROQ_BASE_URL"],
    # The SDK's own clients have 100 connections: the next stream would wait for one to end.
    http_client=httpx.Client(),
    http_async_client=httpx.AsyncClient(
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=100), timeout=60
    ),
)
app = FastAPI()


def now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)


class Conversation(Base):
    __tablename__ = "conversations"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"), index=True)
    mode: Mapped[str]
    title: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now, onupdate=now, index=True)


class Message(Base):
    __tablename__ = "messages"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    conversation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("conversations.id"), index=True)
    position: Mapped[int]
    role: Mapped[str]
    content: Mapped[str]
    model: Mapped[str | None]
    finish_reason: Mapped[str | None]
    prompt_tokens: Mapped[int | None]
    completion_tokens: Mapped[int | None]
    created_at: Mapped[datetime] = mapped_column(default=now)


class NewConversation(BaseModel):
    user_id: uuid.UUID
    first_message: str
    mode: str = "open_chat"
    stream: bool = True


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@app.post("/conversations")
async def create_conversation(body: NewConversation) -> StreamingResponse:
    conversation = Conversation(
        id=uuid.uuid4(), user_id=body.user_id, mode=body.mode, title=body.first_message[:200]
    )
    question = Message(
        conversation_id=conversation.id, position=0, role="user", content=body.first_message
    )
    async with Session.begin() as session:
        await session.execute(insert(User).values(id=body.user_id).on_conflict_do_nothing())
        session.add(conversation)
        await session.flush()
        session.add(question)
    return StreamingResponse(answer(conversation, question), media_type="text/event-stream")


async def answer(conversation: Conversation, question: Message) -> AsyncIterator[str]:
    yield event("created", {"conversation_id": str(conversation.id)})
    prompt = [SystemMessage("You are a helpful assistant."), HumanMessage(question.content)]
    reply = Message(conversation_id=conversation.id, position=1, role="assistant", model=MODEL)
    said: list[str] = []
    try:
        async for chunk in model.astream(prompt):
            if chunk.content:
                said.append(str(chunk.content))
                yield event("delta", {"text": chunk.content})
            if chunk.usage_metadata:
                reply.prompt_tokens = chunk.usage_metadata["input_tokens"]
                reply.completion_tokens = chunk.usage_metadata["output_tokens"]
            reply.finish_reason = chunk.response_metadata.get("finish_reason", reply.finish_reason)
        reply.content = "".join(said)
        async with Session.begin() as session:
            session.add(reply)
    except Exception as error:
        yield event("error", {"detail": str(error)})
        return
    yield event("done", {"message_id": str(reply.id)})


def event(name: str, data: dict[str, object]) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


async def create_tables() -> None:
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)


if __name__ == "__main__":
    asyncio.run(create_tables())
