"""Server-sent events over HTTP/1.1 on a Unix socket: as little as the daemon's stream needs, on asyncio."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

# A record with every state is some kilobytes; asyncio's own limit of 64 KiB a line is near it.
LINE_LIMIT = 1 << 22
# The daemon sends a heartbeat at least every 5 s.
SILENCE_S = 20.0


class StreamRefused(ConnectionError):
    """The daemon answered, and not with a stream."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"the daemon refuses the stream with {status}: {body}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Message:
    """One event of the stream."""

    id: int | None
    event: str
    data: str


async def messages(socket: str, after: int | None) -> AsyncIterator[Message]:
    """The messages after a position; from now on without one. Ends where the connection does."""
    reader, writer = await asyncio.open_unix_connection(socket, limit=LINE_LIMIT)
    try:
        resume = f"Last-Event-ID: {after}\r\n" if after is not None else ""
        writer.write(
            f"GET /v1/signals HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n{resume}\r\n".encode()
        )
        await writer.drain()
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        status = int(head.split(" ", 2)[1])
        fields = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in head.split("\r\n")[1:])}
        if status != 200:
            length = int(fields.get("content-length", "0"))
            raise StreamRefused(status, (await reader.readexactly(length)).decode(errors="replace"))
        chunked = fields.get("transfer-encoding", "") == "chunked"
        buffer = b""
        found: dict[str, str] = {}
        while True:
            data = await asyncio.wait_for(_chunk(reader) if chunked else reader.read(65_536), SILENCE_S)
            if not data:
                return
            buffer += data
            *lines, buffer = buffer.split(b"\n")
            for line in lines:
                text = line.rstrip(b"\r").decode()
                if text:
                    name, _, value = text.partition(":")
                    found[name] = value.removeprefix(" ")
                elif "data" in found:
                    yield Message(int(found["id"]) if "id" in found else None, found.get("event", "message"), found["data"])
                    found = {}
    finally:
        writer.close()


async def _chunk(reader: asyncio.StreamReader) -> bytes:
    size = int((await reader.readline()).strip() or b"0", 16)
    if size == 0:
        return b""
    data = await reader.readexactly(size)
    await reader.readexactly(2)
    return data


class Position:
    """The last message that was handed on, kept in a file over restarts."""

    def __init__(self, path: str | None) -> None:
        self.path = Path(path) if path else None
        self.last: int | None = None
        if self.path and self.path.is_file():
            self.last = int(self.path.read_text().strip())
        self.kept = self.last

    def move(self, to: int) -> bool:
        """Whether a message is new."""
        if self.last is not None and to <= self.last:
            return False
        self.last = to
        return True

    def keep(self, to: int | None) -> None:
        """Remembers that everything up to a message is done with."""
        self.kept = to
        if self.path and to is not None:
            beside = self.path.with_suffix(".new")
            beside.write_text(f"{to}\n")
            beside.replace(self.path)

    def forget_newer(self) -> None:
        """Goes back to what is remembered, where anything is."""
        if self.path:
            self.last = self.kept
