"""The stream over a real Unix socket."""

import asyncio
from pathlib import Path

import pytest

from backtestd_nautilus.sse import Message, Position, StreamRefused, messages

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def talk(path: Path, parts: list[bytes], after: int | None) -> tuple[list[Message], str]:
    """Serves the parts once; what was read of them, and what was asked."""

    async def both() -> tuple[list[Message], str]:
        asked = ""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal asked
            asked = (await reader.readuntil(b"\r\n\r\n")).decode()
            for part in parts:
                writer.write(part)
                await writer.drain()
            writer.close()

        server = await asyncio.start_unix_server(serve, str(path))
        async with server:
            read = [m async for m in messages(str(path), after)]
        return read, asked

    return asyncio.run(both())


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def test_messages_are_put_together_from_chunks_wherever_these_are_cut(tmp_path: Path) -> None:
    text = b"event: heartbeat\ndata: {}\n\nid: 7\nevent: signal\ndata: {\"a\":1}\n\n"
    for cut in range(1, len(text)):
        read, asked = talk(tmp_path / "s", [HEAD, chunk(text[:cut]), chunk(text[cut:]), b"0\r\n\r\n"], 6)
        assert read == [Message(None, "heartbeat", "{}"), Message(7, "signal", '{"a":1}')], cut
        assert "Last-Event-ID: 6\r\n" in asked
        (tmp_path / "s").unlink(missing_ok=True)


def test_a_refusal_says_what_the_daemon_said(tmp_path: Path) -> None:
    answer = b"HTTP/1.1 410 Gone\r\ncontent-length: 8\r\n\r\nno more!"
    with pytest.raises(StreamRefused, match="410: no more!"):
        talk(tmp_path / "s", [answer], 1)


def test_a_position_is_kept_over_restarts_and_knows_what_is_new(tmp_path: Path) -> None:
    path = str(tmp_path / "position")
    first = Position(path)
    assert first.last is None
    assert [first.move(n) for n in (3, 4, 4, 2)] == [True, True, False, False]
    first.keep(3)
    assert (first.last, Position(path).last) == (4, 3)
    first.forget_newer()
    assert first.move(4), "what was not done with comes again"
    first.keep(first.last)
    assert Position(path).last == 4
