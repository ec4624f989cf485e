"""Reads what came over a connection: an HTTP/1.1 response that holds server-sent events."""

import re
from dataclasses import dataclass

END = b"\r\n0\r\n\r\n"  # the empty chunk; within events a line "0" cannot stand
LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)


class BrokenResponse(Exception):
    """The bytes are no whole response; the message is one short reason."""


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event."""

    name: str
    data: str


def status(received: bytes | bytearray) -> int | None:
    """The status code, once it has come."""
    return int(received[9:12]) if len(received) >= 12 else None


def is_whole(received: bytes | bytearray) -> bool:
    """Whether the last byte has come. Without a length or chunks only a closed connection tells."""
    if received.endswith(END):
        return True
    head, found, body = received.partition(b"\r\n\r\n")
    length = LENGTH.search(head)
    return bool(found and length and len(body) >= int(length[1]))


def events(received: bytes | bytearray) -> list[Event]:
    """The whole events so far. Raises BrokenResponse where the framing is wrong."""
    head, _, body = bytes(received).partition(b"\r\n\r\n")
    if b"chunked" in head.lower():
        body = _dechunked(body)
    blocks = body.replace(b"\r\n", b"\n").split(b"\n\n")
    parsed = (_event(block.decode()) for block in blocks[:-1])  # the last one is not ended
    return [event for event in parsed if event is not None]


def _dechunked(body: bytes) -> bytes:
    """The bytes of the chunks, of the last one as many as have come."""
    parts: list[bytes] = []
    at = 0
    while (end := body.find(b"\r\n", at)) >= 0:
        try:
            length = int(body[at:end].partition(b";")[0], 16)
        except ValueError:
            raise BrokenResponse("broken chunk") from None
        parts.append(body[end + 2 : end + 2 + length])
        at = end + 2 + length + 2
    return b"".join(parts)


def _event(block: str) -> Event | None:
    """None for a comment."""
    name, data = "message", []
    for line in block.split("\n"):
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            data.append(value)
    return Event(name, "\n".join(data)) if data else None
