"""The faults, and the alert that must be the only one that anybody is told of."""

from people import Person
from processes import Process
from scene import Scene, finished

# With so many files a gateway holds its part of an evening, and not much more.
FEW_FILES = 256
# More connections than that.
TOO_MANY = 300
SLEEPERS = 40
# What one machine with everything on it bears beside Prometheus and the rest.
BUSY_RATE = 400


class Fault:
    """Something that goes wrong. What has to be undone later is kept in the object."""

    name = ""
    # What is to be told of it, and whom; nothing where the system is in order.
    alert: str | None = None
    receiver: str | None = None
    # So long it lasts at the least, in minutes of the shipped rules: consequences shall have the time to show.
    minutes = 8.0
    evening = True

    def __init__(self, scene: Scene):
        self.scene = scene

    def prepare(self) -> None:
        """What has to be so before the drill begins."""

    def begin(self) -> None:
        """Makes it so."""

    def continue_(self) -> None:
        """Called again and again while it lasts."""

    def end(self) -> None:
        """Ends the fault."""

    def restore(self) -> None:
        """Undoes what was prepared, when nobody watches any more."""


class ProcessesStopped(Fault):
    """Processes are stopped, and started again later."""

    def stopped(self) -> list[Process]:
        raise NotImplementedError

    def begin(self) -> None:
        self.away = self.stopped()
        for process in self.away:
            process.stop()

    def end(self) -> None:
        for process in self.away:
            process.start()


class StreamerStopped(ProcessesStopped):
    name, alert, receiver = "streamer stopped (the active one of two)", "LinkUpTargetDown", "ticket"

    def stopped(self) -> list[Process]:
        return [self.scene.cluster.streamers[self.scene.cluster.active_streamer()].process]


class StreamersStopped(ProcessesStopped):
    name, alert, receiver = "both streamers stopped", "LinkUpStreamerAway", "page"

    def stopped(self) -> list[Process]:
        return [streamer.process for streamer in self.scene.cluster.streamers]


class ApiStopped(ProcessesStopped):
    name, alert, receiver = "api stopped (one of two)", "LinkUpTargetDown", "ticket"

    def stopped(self) -> list[Process]:
        return [self.scene.cluster.apis[0].process]


class ApisStopped(ProcessesStopped):
    name, alert, receiver = "both api nodes stopped", "LinkUpApiAway", "page"

    def stopped(self) -> list[Process]:
        return [api.process for api in self.scene.cluster.apis]


class GatewayStopped(ProcessesStopped):
    name, alert, receiver = "gateway stopped (one of two)", "LinkUpTargetDown", "ticket"

    def stopped(self) -> list[Process]:
        return [self.scene.cluster.gateways[1].process]


class NatsStopped(ProcessesStopped):
    name, alert, receiver = "NATS stopped", "LinkUpBusAway", "page"

    def stopped(self) -> list[Process]:
        return [self.scene.cluster.nats]


class MongoStopped(Fault):
    name, alert, receiver = "MongoDB stopped (all three members)", "LinkUpMongoDBAway", "page"

    def begin(self) -> None:
        self.scene.cluster.mongo.stop()

    def end(self) -> None:
        self.scene.cluster.mongo.revive()


class PrimaryLost(Fault):
    name, alert, receiver = "MongoDB's primary lost", "LinkUpMongoDBMemberDown", "ticket"

    def begin(self) -> None:
        mongo = self.scene.cluster.mongo
        mongo.members[mongo.wait_for_primary()].kill()

    def end(self) -> None:
        self.scene.cluster.mongo.revive()


class GatewayOverloaded(Fault):
    """More people want to connect than the gateway may have open files."""

    name, alert, receiver = "gateway overloaded (out of open files)", "LinkUpGatewayOverloaded", "page"

    def prepare(self) -> None:
        self.gateway = self.scene.cluster.gateways[1]
        self.limit = self.gateway.process.open_files
        self.scene.restart(self.gateway, FEW_FILES)

    def begin(self) -> None:
        self.newcomers = self.scene.gather(self.gateway.port, TOO_MANY)
        self.scene.crowd.join(self.newcomers)

    def end(self) -> None:
        self.scene.dismiss(self.newcomers)

    def restore(self) -> None:
        self.scene.restart(self.gateway, self.limit)


class SlowConsumers(Fault):
    name, alert, receiver = "slow consumers", "LinkUpSlowConsumers", "ticket"

    def begin(self) -> None:
        self.people = self.scene.sleepers(SLEEPERS)
        self.scene.crowd.join(self.people)

    def end(self) -> None:
        self.scene.dismiss(self.people)


class ReconnectStorm(Fault):
    """A network that fails for a moment, and again as soon as everybody is back."""

    name, alert, receiver = "reconnect storm", "LinkUpReconnectStorm", "page"
    minutes = 4.0

    def begin(self) -> None:
        self.people: list[Person] = list(self.scene.regulars)
        self.scene.crowd.cut(self.people)

    def continue_(self) -> None:
        if self.scene.crowd.connected():
            self.scene.crowd.cut(self.people)


class QuietNight(Fault):
    name = "a quiet night (nobody but the probe)"
    minutes, evening = 20.0, False


class BusyEvening(Fault):
    name = f"a busy evening ({BUSY_RATE} messages a second)"
    minutes = 20.0

    def begin(self) -> None:
        self.harness = self.scene.harness(BUSY_RATE, self.minutes * 60 / self.scene.scale)

    def end(self) -> None:
        finished(self.harness)


# By the word that names it on the command line.
FAULTS: dict[str, type[Fault]] = {
    "quiet-night": QuietNight,
    "streamer": StreamerStopped,
    "streamers": StreamersStopped,
    "mongodb": MongoStopped,
    "primary": PrimaryLost,
    "nats": NatsStopped,
    "api": ApiStopped,
    "apis": ApisStopped,
    "gateway": GatewayStopped,
    "slow-consumers": SlowConsumers,
    "storm": ReconnectStorm,
    "overload": GatewayOverloaded,
    "busy-evening": BusyEvening,
}
