from __future__ import annotations

import asyncio
import socket

from tag2mask.core.listening import listen


def test_answers_are_sent_without_delay() -> None:
    """Else every answer on a connection that is used again waits for an acknowledgement."""

    async def delays() -> list[int]:
        found = []

        async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            found.append(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        [server_socket] = listen("127.0.0.1", 0)
        async with await asyncio.start_server(answer, sock=server_socket):
            reader, writer = await asyncio.open_connection(*server_socket.getsockname())
            await reader.read()
            writer.close()
        return found

    assert asyncio.run(delays())[0] != 0
