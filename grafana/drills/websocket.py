"""A WebSocket client that speaks LinkUp's plain JSON protocol at /ws, and may read slowly or not at all."""

import asyncio
import base64
import json
import os
import socket
import struct

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
# How much a client that does not read takes nevertheless.
SMALL_BUFFER = 4_096
CONNECT_SECONDS = 10


class Closed(Exception):
    """The connection has ended, or was refused."""


class WebSocket:
    """One connection. Frames are read by whoever calls `receive`; nobody else does."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, port: int, small: bool = False) -> "WebSocket":
        """Opens a connection to a gateway of this machine; `small`: with buffers that hold next to nothing."""
        endpoint = socket.socket()
        endpoint.setblocking(False)
        if small:
            endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await asyncio.get_running_loop().sock_connect(endpoint, ("127.0.0.1", port))
                limit = SMALL_BUFFER if small else 2**16
                reader, writer = await asyncio.open_connection(sock=endpoint, limit=limit)
                await cls._shake_hands(reader, writer, port)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            endpoint.close()
            raise Closed(str(error) or type(error).__name__) from None
        return cls(reader, writer)

    @staticmethod
    async def _shake_hands(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        writer.write(
            f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101"):
            writer.close()
            raise ConnectionError(head.split(b"\r\n", 1)[0].decode())

    def send(self, *parts) -> None:
        """Sends an event: its name, its payload, and a number where an acknowledgement is wanted."""
        self._frame(TEXT, json.dumps(parts).encode())

    def pong(self) -> None:
        """Says that this client lives, and finds out whether the server still listens."""
        self._frame(PONG, b"")

    def _frame(self, opcode: int, payload: bytes) -> None:
        if self.writer.transport.is_closing():
            raise Closed("the connection has ended")
        size = len(payload)
        if size < 126:
            head = struct.pack("!BB", 0x80 | opcode, 0x80 | size)
        elif size < 2**16:
            head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, size)
        else:
            head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, size)
        # The mask keeps proxies from taking payloads for requests. There is none here, and zero is a mask.
        self.writer.write(head + bytes(4) + payload)

    async def receive(self) -> list:
        """The next event."""
        try:
            while True:
                opcode, payload = await self._read()
                if opcode == TEXT:
                    return json.loads(payload)
                if opcode == PING:
                    self._frame(PONG, payload)
                elif opcode == CLOSE:
                    code = struct.unpack("!H", payload[:2])[0] if len(payload) >= 2 else 1005
                    raise Closed(str(code))
        except (OSError, asyncio.IncompleteReadError) as error:
            raise Closed(str(error)) from None

    async def _read(self) -> tuple[int, bytes]:
        first, size = await self.reader.readexactly(2)
        if size == 126:
            (size,) = struct.unpack("!H", await self.reader.readexactly(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", await self.reader.readexactly(8))
        return first & 0x0F, await self.reader.readexactly(size)

    def cut(self) -> None:
        """Ends the connection as a network that fails does: nothing is said."""
        self.writer.transport.abort()
