"""The doctor beside a daemon."""

import socket
import threading
from pathlib import Path

from backtestd_nautilus.doctor import doctor

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"


def look(tmp_path: Path, read: int) -> str:
    """What is said beside a daemon whose newest entry is 7."""
    path = tmp_path / f"socket{read}"
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()

    def serve() -> None:
        peer, _ = server.accept()
        peer.recv(4096)
        peer.sendall(HEAD + b'event: heartbeat\ndata: {"last_seq":7}\n\n')
        peer.recv(4096)

    threading.Thread(target=serve, daemon=True).start()
    position = tmp_path / "position"
    position.write_text(f"{read}\n")
    return "\n".join(doctor(None, None, str(path), str(position)).lines)


def test_a_position_is_behind_or_of_another_store(tmp_path: Path) -> None:
    assert "read up to 5, 2 behind" in look(tmp_path, 5)
    assert "BAD  " in look(tmp_path, 9)


def test_no_daemon_is_said(tmp_path: Path) -> None:
    found = doctor(None, None, str(tmp_path / "none"))
    assert found.bad == 1
    assert "no stream of signals" in found.lines[-1]
