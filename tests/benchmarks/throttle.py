"""A link that carries little, for whatever speaks TCP: a proxy before a server.

    with Throttle("127.0.0.1", 8888) as link:
        page.goto(f"http://127.0.0.1:{link.port}")
        link.limit(bytes_per_s=1.25e6, delay_s=0.1)

All connections share what it carries in each direction. Before it, as in a router,
waits as much as it carries in `QUEUE_S`; more is not read: who sends has to wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
import threading

QUEUE_S = 0.2
CHUNK_BYTES = 8192
# Of the sockets, which would hold seconds of such a link.
SOCKET_BYTES = 65536


class Throttle:
    """The proxy; it carries everything at once before `limit` is called.

    Attributes:
        port: Of this machine, where it listens.
        num_bytes: How much it carried to those who connected.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self.port = 0
        self.num_bytes = 0
        self._bytes_per_s, self._delay_s = math.inf, 0.0
        # Of each direction: when what it carries now is through.
        self._free_at = [0.0, 0.0]
        self._loop = asyncio.new_event_loop()
        self._is_ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Throttle:
        self._thread.start()
        assert self._is_ready.wait(30)
        return self

    def __exit__(self, *exc: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)

    def limit(self, bytes_per_s: float, delay_s: float) -> None:
        """Carry this much in each direction, `delay_s` each way, from now on."""
        self._bytes_per_s, self._delay_s = bytes_per_s, delay_s

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        starting = asyncio.start_server(self._connect, "127.0.0.1", 0)
        server = self._loop.run_until_complete(starting)
        self.port = server.sockets[0].getsockname()[1]
        self._loop.call_soon(self._is_ready.set)
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _connect(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        there = await asyncio.open_connection(*self._target)
        for one in (writer, there[1]):
            own: socket.socket = one.get_extra_info("socket")
            own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BYTES)
            own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BYTES)
        with contextlib.suppress(OSError):
            await asyncio.gather(
                self._carry(reader, there[1], 0), self._carry(there[0], writer, 1)
            )

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: int
    ) -> None:
        clock = self._loop.time
        carried: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        delivering = asyncio.create_task(self._deliver(carried, writer))
        data = b"-"
        while data:
            data = await reader.read(CHUNK_BYTES)
            self._free_at[way] = max(clock(), self._free_at[way])
            self._free_at[way] += len(data) / self._bytes_per_s
            self.num_bytes += way * len(data)
            carried.put_nowait((self._free_at[way] + self._delay_s, data))
            while (wait := self._free_at[way] - clock() - QUEUE_S) > 0:
                await asyncio.sleep(wait)
        await delivering

    async def _deliver(
        self,
        carried: asyncio.Queue[tuple[float, bytes]],
        writer: asyncio.StreamWriter,
    ) -> None:
        while (one := await carried.get())[1]:
            if (wait := one[0] - self._loop.time()) > 0:
                await asyncio.sleep(wait)
            writer.write(one[1])
            await writer.drain()
        writer.close()
