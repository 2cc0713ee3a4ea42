"""People who chat: clients that come back as the stock client does, and some who behave worse."""

import asyncio
import itertools
import random
import threading
from collections import Counter
from concurrent.futures import Future

from balancer import Balancer
from websocket import Closed, WebSocket

# The stock client's back-off: it doubles from one second to five, half more or less at random.
FIRST_DELAY, LAST_DELAY = 1.0, 5.0
# Of so many messages one is marked as read, and one is preceded by typing.
READ_EVERY, TYPE_EVERY = 3, 4
# How often somebody who does not read finds out whether the connection still is one.
LOOK_INTERVAL = 0.5
TEXT = "How about a walk in the evening, once the rain is over?"


class Person:
    """One client of one user."""

    def __init__(self, user: dict, port: int, counts: Counter, message_every: float | None = None):
        self.user, self.port, self.counts, self.message_every = user, port, counts, message_every
        self.socket: WebSocket | None = None
        self.pid = self.offset = None
        self.connected = False
        self.leaving = False
        self.numbers = itertools.count(1)

    async def live(self) -> None:
        """Connects, and comes back after every end, until it leaves."""
        delay = FIRST_DELAY
        while not self.leaving:
            try:
                await self._connect()
                delay = FIRST_DELAY
                await self._stay()
            except Closed as reason:
                self.counts[f"ended {reason}"] += 1
            finally:
                self.connected = False
                if self.socket is not None:
                    self.socket.cut()
                    self.socket = None
            if not self.leaving:
                await asyncio.sleep(delay * random.uniform(0.5, 1.5))
                delay = min(LAST_DELAY, 2 * delay)

    async def _connect(self) -> None:
        self.socket = await self._open()
        if self.pid is None:
            self.socket.send("user:connect", {"token": self.user["token"]})
        else:
            offset = {"offset": self.offset} if self.offset else {}
            self.socket.send("resume", {"token": self.user["token"], "pid": self.pid} | offset)
        event = await self.socket.receive()
        if event[0] != "connect":
            raise Closed(event[0])
        self.pid = event[1].get("pid")
        self.connected = True
        self.counts["connected"] += 1

    async def _open(self) -> WebSocket:
        return await WebSocket.connect(self.port)

    async def _stay(self) -> None:
        sending = asyncio.create_task(self._send()) if self.message_every else None
        try:
            while True:
                self._take(await self.socket.receive())
        finally:
            if sending is not None:
                sending.cancel()

    def _take(self, event: list) -> None:
        self.counts[event[0]] += 1
        if event[0] == "ack":
            self.counts["acknowledged" if event[1].get("ok") else "refused"] += 1
        elif len(event) == 3:
            self.offset = event[2]
        if event[0] == "message:new" and self.counts["message:new"] % READ_EVERY == 0:
            message = event[1]
            payload = {"messageId": message["_id"], "conversationId": message["conversationId"]}
            self.socket.send("message:read", payload)

    async def _send(self) -> None:
        await asyncio.sleep(random.uniform(0, self.message_every))
        while True:
            conversation = self.user["conversations"][0]
            number = next(self.numbers)
            try:
                if number % TYPE_EVERY == 0:
                    self.socket.send("conversation:typing", {"conversationId": conversation, "isTyping": True})
                self.socket.send("message:send", {"conversationId": conversation, "content": TEXT}, number)
            except Closed:
                # Whoever receives notices it as well.
                return
            self.counts["sent"] += 1
            await asyncio.sleep(self.message_every * random.uniform(0.8, 1.2))

    def cut(self) -> None:
        """The network fails for this client."""
        if self.socket is not None:
            self.socket.cut()

    def leave(self) -> None:
        self.leaving = True
        self.cut()


class Sleeper(Person):
    """Somebody whose client connects and then reads nothing at all; it does not ask for what it missed."""

    async def _open(self) -> WebSocket:
        return await WebSocket.connect(self.port, small=True)

    async def _stay(self) -> None:
        self.pid = None
        while True:
            await asyncio.sleep(LOOK_INTERVAL)
            self.socket.pong()


class Writer(Person):
    """Somebody who writes long messages into one conversation, without an end."""

    def __init__(self, user: dict, port: int, counts: Counter, conversation: str, text: str, message_every: float):
        super().__init__(user | {"conversations": [conversation]}, port, counts, message_every)
        self.text = text

    async def _send(self) -> None:
        payload = {"conversationId": self.user["conversations"][0], "content": self.text}
        while True:
            try:
                self.socket.send("message:send", payload, next(self.numbers))
            except Closed:
                return
            self.counts["sent"] += 1
            await asyncio.sleep(self.message_every)


class Crowd:
    """Everybody, in an event loop of a thread of its own."""

    def __init__(self):
        self.counts = Counter()
        self.people: list[Person] = []
        self.lives: set[Future] = set()
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def balancer(self, gateways: list[tuple[int, int]]) -> int:
        """Starts a balancer; returns its port."""
        return asyncio.run_coroutine_threadsafe(Balancer(gateways).start(), self.loop).result(10)

    def join(self, people: list[Person]) -> None:
        """From now on they connect and stay."""
        self.people += people
        for person in people:
            life = asyncio.run_coroutine_threadsafe(person.live(), self.loop)
            self.lives.add(life)
            life.add_done_callback(self._ended)

    def _ended(self, life: Future) -> None:
        self.lives.discard(life)
        if not life.cancelled() and (error := life.exception()) is not None:
            self.counts[f"broken client: {error!r}"] += 1

    def cut(self, people: list[Person]) -> None:
        """All of them lose their connections in the same moment."""
        self.loop.call_soon_threadsafe(lambda: [person.cut() for person in people])

    def leave(self, people: list[Person]) -> None:
        self.people = [person for person in self.people if person not in people]
        self.loop.call_soon_threadsafe(lambda: [person.leave() for person in people])

    def connected(self) -> bool:
        return all(person.connected for person in self.people)
