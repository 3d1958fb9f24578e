"""The canary as a process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

from devcluster.wait import until


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_canary_answers_until_it_is_told_to_end() -> None:
    """It goes at the first SIGTERM and by itself, so that no rollout waits for it to be killed."""
    port = _free_port()
    environ = {**os.environ, "DOORWARD_LISTEN": f"127.0.0.1:{port}"}

    def answered() -> bytes:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
            return connection.recv(64)

    with subprocess.Popen([sys.executable, "-m", "doorward.door.canary"], env=environ) as process:
        answer = until(answered, "the canary answers")
        process.send_signal(signal.SIGTERM)

        assert process.wait(timeout=10) == 0

    assert answer.startswith(b"HTTP/1.1 200")
