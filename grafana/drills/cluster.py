"""A whole LinkUp on this machine: a replica set, NATS, and every role as processes."""

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import programs
from http_client import get
from mongo import ReplicaSet
from processes import DrillError, Process, Workshop, free_port, listens, wait_until

APIS = STREAMERS = GATEWAYS = 2
USERS = 1_000
SECRET = "only for drills, and long enough for it"
READY_SECONDS = 60
SEED_SECONDS = 120


@dataclass(frozen=True)
class Pace:
    """LinkUp's own times, made shorter like those of the rules."""

    probe_interval: float
    lease: float

    @staticmethod
    def of(scale: float) -> "Pace":
        # The lease has a least value, and an exchange of the probe takes some time.
        return Pace(probe_interval=max(0.5, 10 / scale), lease=max(0.5, 3 / scale))


@dataclass
class Role:
    """A process of LinkUp."""

    job: str
    process: Process
    admin_port: int
    port: int | None = None

    @property
    def name(self) -> str:
        return self.process.name

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ready(self) -> bool:
        return self.process.alive and get(f"http://127.0.0.1:{self.admin_port}/readyz")[0] == 200

    def metrics(self) -> str:
        """What it answers to Prometheus; nothing while it is away."""
        status, text = get(f"http://127.0.0.1:{self.admin_port}/metrics", 5)
        return text if status == 200 else ""

    def metric(self, name: str) -> float:
        """The sum of a metric's series, 0 while the process is away."""
        found = re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", self.metrics(), re.MULTILINE)
        return sum(float(value) for value in found)


class Cluster:
    """Two processes of each role, one probe, three members of MongoDB, one NATS server."""

    def __init__(self, workshop: Workshop, linkup: Path, pace: Pace):
        self.workshop, self.linkup, self.pace = workshop, linkup, pace
        self.mongo = ReplicaSet(workshop, programs.mongod(linkup, workshop.folder / "fetch"))
        self.nats_port = free_port()
        nats = [programs.find("nats-server"), "--addr", "127.0.0.1", "--port", self.nats_port]
        self.nats = workshop.process("nats", nats)
        self.apis = [self._role("api", index, free_port()) for index in range(APIS)]
        self.streamers = [self._role("streamer", index) for index in range(STREAMERS)]
        self.gateways = [self._role("gateway", index, free_port()) for index in range(GATEWAYS)]
        self.probes: list[Role] = []
        self.people: list[dict] = []

    @property
    def roles(self) -> list[Role]:
        return [*self.apis, *self.streamers, *self.gateways, *self.probes]

    def _role(self, job: str, index: int, port: int | None = None, settings: dict | None = None) -> Role:
        admin = free_port()
        env = {
            "JWT_SECRET": SECRET, "ADMIN_ADDR": "127.0.0.1", "ADMIN_PORT": admin, "LISTEN_ADDR": "127.0.0.1",
            "LOG": "info", "NATS_URL": f"nats://127.0.0.1:{self.nats_port}", "MONGODB_URI": self.mongo.uri,
            "STREAMER_LEASE_TTL": f"{self.pace.lease * 1000:.0f}ms",
            # Drivers that bring everybody into one group are no people.
            "INVITE_RATE_PER_USER": "100000/1h",
        }  # fmt: skip
        if port is not None:
            env["PORT"] = port
        if job == "gateway":
            env |= {"API_URLS": ",".join(api.url for api in self.apis), "GATEWAY_URL": f"http://127.0.0.1:{port}"}
            del env["MONGODB_URI"]
        process = self.workshop.process(f"{job}-{index}", [self.linkup, job], env | (settings or {}))
        return Role(job, process, admin, port)

    def start(self) -> None:
        """Starts everything but the probe, with people who may chat."""
        self.mongo.start()
        self.nats.start()
        wait_until(lambda: listens(self.nats_port), "NATS listens", READY_SECONDS)
        for role in self.roles:
            role.process.start()
        self.people = self._seed()
        self.wait_until_ready()

    def start_probe(self, url: str) -> None:
        """Starts the probe against the public address, which is a balancer's."""
        interval = f"{self.pace.probe_interval * 1000:.0f}ms"
        settings = {"PROBE_URL": url, "PROBE_INTERVAL": interval, "PROBE_NAME": "drills"}
        probe = self._role("probe", 0, settings=settings)
        probe.process.start()
        self.probes.append(probe)
        wait_until(lambda: probe.metric("linkup_probe_up") == 1, "the probe's first exchange", READY_SECONDS)

    def wait_until_ready(self, seconds: float = READY_SECONDS) -> None:
        """Waits until every process that runs says that it can do its job."""
        for role in self.roles:
            try:
                wait_until(role.ready, f"{role.name} is ready", seconds)
            except DrillError as error:
                raise DrillError(f"{error}\n{role.process.tail()}") from None

    def active_streamer(self) -> int:
        """Which streamer holds the lease."""

        def active() -> list[int]:
            return [i for i, role in enumerate(self.streamers) if role.metric("linkup_streamer_active") == 1]

        return wait_until(active, "a streamer is active", READY_SECONDS)[0]

    def _seed(self) -> list[dict]:
        """Users, a conversation for each two of them, and their tokens."""
        out = self.seed_file
        command = [self.linkup, "--data-dir", self.workshop.folder / "fetch", "seed"]
        command += ["--users", str(USERS), "--conversations", str(USERS // 2), "--out", out]
        done = subprocess.run(
            command,
            env=self.apis[0].process.env, capture_output=True, text=True, timeout=SEED_SECONDS,
        )  # fmt: skip
        if done.returncode != 0:
            raise DrillError(f"linkup seed: {done.stdout}{done.stderr}")
        return [json.loads(line) for line in out.read_text().splitlines()]

    @property
    def seed_file(self) -> Path:
        return self.workshop.folder / "seed.jsonl"
