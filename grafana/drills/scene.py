"""The system of a drill: LinkUp, a balancer before it, and the people who use it."""

import itertools
import json
import resource
import subprocess
import time
from pathlib import Path

from cluster import Cluster, Pace, Role
from http_client import get, post_json
from people import Crowd, Person, Sleeper, Writer
from processes import DrillError, Process, Workshop, wait_until

# Who writes, and who only reads; of each half at each gateway.
WRITERS, READERS = 40, 200
MESSAGE_EVERY = 2.0
# Users for drills' own people. The first ones of the seed are left to the load harness.
HARNESS_USERS = 400
CONNECT_SECONDS = 60
HARNESS_SECONDS = 600


class Scene:
    """Everything that a fault can touch."""

    def __init__(self, workshop: Workshop, linkup: Path, loadtest: Path, scale: float):
        self.workshop, self.loadtest, self.scale = workshop, loadtest, scale
        self.cluster = Cluster(workshop, linkup, Pace.of(scale))
        self.crowd = Crowd()
        self.regulars: list[Person] = []
        self.users = iter(())
        self.public_port = 0
        self.harnesses = itertools.count()

    def start(self) -> None:
        """Starts everything, and a probe that goes through the balancer."""
        _allow_many_files()
        self.cluster.start()
        self.users = iter(self.cluster.people[HARNESS_USERS:])
        gateways = [(gateway.port, gateway.admin_port) for gateway in self.cluster.gateways]
        self.public_port = self.crowd.balancer(gateways)
        self.cluster.start_probe(f"http://127.0.0.1:{self.public_port}")

    def gather(self, port: int, count: int, message_every: float | None = None) -> list[Person]:
        """So many people more, at one gateway."""
        found = list(itertools.islice(self.users, count))
        if len(found) < count:
            raise DrillError("the seed has too few users for these drills")
        return [Person(user, port, self.crowd.counts, message_every) for user in found]

    def begin_evening(self) -> None:
        """People chat at a moderate rate, as they do in most drills."""
        if self.regulars:
            return
        for gateway in self.cluster.gateways:
            self.regulars += self.gather(gateway.port, WRITERS // 2, MESSAGE_EVERY)
            self.regulars += self.gather(gateway.port, READERS // 2)
        self.crowd.join(self.regulars)
        self.settle()

    def end_evening(self) -> None:
        """Everybody goes home."""
        self.dismiss(self.regulars)
        self.regulars = []

    def dismiss(self, people: list[Person]) -> None:
        """They leave, and others may come as the same users."""
        self.crowd.leave(people)
        # After all others: whoever has just gone counts as present for some seconds.
        self.users = itertools.chain(self.users, [person.user for person in people])

    def settle(self) -> None:
        """Waits until every process can do its job, everybody is connected, and the probe gets through."""
        self.cluster.wait_until_ready()
        wait_until(self.crowd.connected, "everybody is connected", CONNECT_SECONDS)
        probe = self.cluster.probes[0]
        wait_until(lambda: probe.metric("linkup_probe_up") == 1, "the probe gets through", CONNECT_SECONDS)

    def rest(self) -> dict:
        """A few ordinary requests through the balancer; the last answer."""
        user = self.cluster.people[-1]
        base = f"http://127.0.0.1:{self.public_port}"
        login = {"email": user["email"], "password": "linkup-demo"}
        status, text = post_json(f"{base}/api/auth/login", login)
        if status != 200:
            raise DrillError(f"login: {status} {text}")
        token = json.loads(text)["token"]
        conversation = user["conversations"][0]
        path = f"{base}/api/conversations/{conversation}/messages"
        status, text = post_json(path, {"content": "hello"}, token)
        if status != 201:
            raise DrillError(f"a message by REST: {status} {text}")
        get(f"{base}/api/openapi.json")
        return json.loads(text)

    def sleepers(self, count: int) -> list[Person]:
        """People who read nothing, in one conversation with people who write a great deal."""
        gateway = self.cluster.gateways[0]
        sleeping = [Sleeper(user, gateway.port, self.crowd.counts) for user in itertools.islice(self.users, count)]
        authors = list(itertools.islice(self.users, 4))
        members = [person.user["userId"] for person in sleeping] + [author["userId"] for author in authors[1:]]
        status, text = post_json(
            f"{gateway.url}/api/conversations", {"participants": members, "name": "asleep"}, authors[0]["token"]
        )
        if status != 201:
            raise DrillError(f"a conversation of sleepers: {status} {text}")
        conversation = json.loads(text)["_id"]
        # The longest that a message may be, of characters that take the most bytes.
        long = "\N{CLOUD WITH RAIN}" * 4_000
        writing = [
            Writer(author, self.cluster.gateways[1].port, self.crowd.counts, conversation, long, 0.1)
            for author in authors
        ]
        return [*sleeping, *writing]

    def harness(self, rate: float, seconds: float, metrics_port: int | None = None) -> Process:
        """The load harness, with people of its own; it tells Prometheus of itself on `metrics_port`."""
        seed = self.workshop.folder / "harness.jsonl"
        seed.write_text("".join(json.dumps(user) + "\n" for user in self.cluster.people[:HARNESS_USERS]))
        arguments = [
            "chat", "--url", f"http://127.0.0.1:{self.public_port}", "--users", HARNESS_USERS, "--rate", rate,
            "--warmup", "2s", "--duration", f"{seconds:.0f}s", "--seed", seed, "--json", "--no-files",
        ]  # fmt: skip
        if metrics_port:
            arguments += ["--prometheus", f"127.0.0.1:{metrics_port}"]
        name = f"loadtest-{next(self.harnesses)}"
        return self.workshop.process(name, [self.loadtest, *arguments]).start()

    def restart(self, role: Role, open_files: int | None) -> None:
        """Starts a process again with another limit of open files."""
        role.process.stop()
        role.process.open_files = open_files
        role.process.start()
        self.settle()


def finished(harness: Process) -> str:
    """Waits for the load harness, which must be content; its line of results."""
    try:
        status = harness.child.wait(HARNESS_SECONDS)
    except subprocess.TimeoutExpired:
        raise DrillError("the load harness does not end") from None
    if status != 0:
        raise DrillError(f"the load harness: {status}\n{harness.tail()}")
    return harness.tail()


def sleep_shipped(minutes: float, scale: float) -> None:
    """Lets time pass, told in the time of the shipped rules."""
    time.sleep(minutes * 60 / scale)


def _allow_many_files() -> None:
    """Connections are files, of this process and of those that it starts."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
