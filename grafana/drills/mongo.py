"""A MongoDB replica set of three members on this machine."""

from mongo_wire import MongoError, command
from processes import Process, Workshop, free_port, wait_until
from programs import Mongod

NAME = "drills"
MEMBERS = 3
START_SECONDS = 60
# With the defaults (10 s, 2 s) a vacancy lasts as long as minutes do for rules that run faster.
ELECTION_MS, HEARTBEAT_MS = 2_000, 500


class ReplicaSet:
    """Members that can be killed and started again one by one."""

    def __init__(self, workshop: Workshop, program: Mongod):
        self.ports = [free_port() for _ in range(MEMBERS)]
        self.members = [self._member(workshop, program, index) for index in range(MEMBERS)]

    def _member(self, workshop: Workshop, program: Mongod, index: int) -> Process:
        name = f"mongod-{index}"
        data = workshop.place(f"{name}/data")
        arguments = [
            "--dbpath", data, "--port", self.ports[index], "--bind_ip", "127.0.0.1", "--nounixsocket",
            "--replSet", NAME, "--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "512", "--quiet",
            "--setParameter", "diagnosticDataCollectionEnabled=false",
        ]  # fmt: skip
        return workshop.process(name, [program.path, *arguments], program.env)

    @property
    def uri(self) -> str:
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        return f"mongodb://{hosts}/linkup?replicaSet={NAME}"

    def start(self) -> None:
        """Starts all members and makes them a replica set."""
        for member in self.members:
            member.start()
        wait_until(self._initiated, "the replica set is made", START_SECONDS)
        self.wait_for_primary()

    def _initiated(self) -> bool:
        members = [{"_id": index, "host": f"127.0.0.1:{port}"} for index, port in enumerate(self.ports)]
        settings = {"electionTimeoutMillis": ELECTION_MS, "heartbeatIntervalMillis": HEARTBEAT_MS}
        config = {"_id": NAME, "members": members, "settings": settings}
        try:
            command(self.ports[0], {"replSetInitiate": config}, 20)
        except OSError:
            return False
        except MongoError as error:
            return "already" in str(error)
        return True

    def primary(self) -> int | None:
        """The member that takes writes."""
        for index, port in enumerate(self.ports):
            try:
                if command(port, {"hello": 1}).get("isWritablePrimary"):
                    return index
            except (OSError, MongoError):
                continue
        return None

    def wait_for_primary(self) -> int:
        return wait_until(lambda: self.primary() is not None, "a primary is elected", START_SECONDS) and self.primary()

    def stop(self) -> None:
        """All members at once, as when the power of a rack fails."""
        for member in self.members:
            member.kill()

    def revive(self) -> None:
        """Starts the members that are away."""
        for member in self.members:
            if not member.alive:
                member.start()
        self.wait_for_primary()
