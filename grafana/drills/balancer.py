"""What stands before gateways: TCP connections go in turn to those that say that they are ready."""

import asyncio
import itertools

CHECK_INTERVAL = 0.3
CHECK_SECONDS = 1
CHUNK = 65_536


class Balancer:
    """Passes connections on. The gateways are (public port, admin port)."""

    def __init__(self, gateways: list[tuple[int, int]]):
        self.gateways = gateways
        self.ready = dict.fromkeys((public for public, _ in gateways), True)
        self.turns = itertools.count()
        self.port = 0
        # A task that nobody refers to may be collected while it runs.
        self.checks: list[asyncio.Task] = []

    async def start(self) -> int:
        """Listens; returns the port."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self.checks = [asyncio.create_task(self._check(*gateway)) for gateway in self.gateways]
        return self.port

    async def _check(self, public: int, admin: int) -> None:
        while True:
            self.ready[public] = await self._is_ready(admin)
            await asyncio.sleep(CHECK_INTERVAL)

    @staticmethod
    async def _is_ready(admin: int) -> bool:
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                reader, writer = await asyncio.open_connection("127.0.0.1", admin)
                try:
                    writer.write(b"GET /readyz HTTP/1.1\r\nHost: balancer\r\nConnection: close\r\n\r\n")
                    return b" 200 " in await reader.readline()
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return False

    def _candidates(self) -> list[int]:
        """The ready ones in turn; all of them where none is, so that clients hear from a gateway what is wrong."""
        ports = [port for port, ready in self.ready.items() if ready] or list(self.ready)
        turn = next(self.turns) % len(ports)
        return ports[turn:] + ports[:turn]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for port in self._candidates():
            try:
                to_gateway = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                continue
            await asyncio.gather(_pump(reader, to_gateway[1]), _pump(to_gateway[0], writer))
            return
        writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except OSError:
        writer.transport.abort()
