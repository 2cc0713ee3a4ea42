"""Programs that the drills start: each in a process group and a folder of its own, and all gone at the end."""

import atexit
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

# Below the range that Linux takes the ports of outgoing connections from: a port stays free while its program restarts.
PORTS = range(20_000, 32_000)
POLL = 0.1
# What LinkUp reads from its environment and a drill does not set must not come from the caller's.
KEPT_VARIABLES = ("PATH", "HOME", "LANG", "TMPDIR", "XDG_CACHE_HOME", "LINKUP_CACHE_DIR")
# How much of a program's log is shown when it ends unasked.
SHOWN_LOG = 3_000

T = TypeVar("T")


class DrillError(Exception):
    """What keeps a drill from taking place, or a condition that was not met in time."""


def say(text: str) -> None:
    """Tells whoever waits; results go to standard output."""
    print(text, file=sys.stderr, flush=True)


def wait_until(condition: Callable[[], T], what: str, seconds: float, poll: float = POLL) -> T:
    """Returns the first true value of `condition`."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise DrillError(f"not within {seconds:.0f} s: {what}")
        time.sleep(poll)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on, and that this function has not given to anybody before."""
    while True:
        port = random.choice(PORTS)
        if port in _given_ports:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given_ports.add(port)
        return port


_given_ports: set[int] = set()


def listens(port: int) -> bool:
    """Whether somebody listens on this port of this machine."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


class Process:
    """A program that may be stopped, killed and started again."""

    def __init__(self, name: str, argv: list, env: dict | None, log: Path, open_files: int | None):
        self.name, self.argv, self.log, self.open_files = name, [str(each) for each in argv], log, open_files
        kept = {key: os.environ[key] for key in KEPT_VARIABLES if key in os.environ}
        self.env = kept | {key: str(value) for key, value in (env or {}).items()}
        self.child: subprocess.Popen | None = None

    def start(self) -> "Process":
        # The program ends with this one, even where this one is killed. Linux sends the signal when the *thread* that
        # started the program ends, so programs are started by the main thread only.
        wrapper = ["setpriv", "--pdeathsig", "KILL", "--"]
        if self.open_files is not None:
            wrapper = ["prlimit", f"--nofile={self.open_files}:{self.open_files}", "--", *wrapper]
        with self.log.open("ab") as log:
            self.child = subprocess.Popen(
                wrapper + self.argv, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0
            )
        return self

    @property
    def alive(self) -> bool:
        return self.child is not None and self.child.poll() is None

    def stop(self, seconds: float = 40) -> None:
        """Asks it to end as an operator would, and waits."""
        if not self.alive:
            return
        self.signal(signal.SIGTERM)
        try:
            self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            say(f"{self.name} does not end when asked to; it is killed")
            self.kill()

    def kill(self) -> None:
        """Ends it as a crash would."""
        if self.child is None:
            return
        self.signal(signal.SIGKILL)
        self.child.wait()

    def signal(self, number: int) -> None:
        try:
            os.killpg(self.child.pid, number)
        except ProcessLookupError:
            pass

    def tail(self) -> str:
        """The end of what it wrote."""
        return self.log.read_bytes()[-SHOWN_LOG:].decode(errors="replace") if self.log.exists() else ""


class Workshop:
    """The folder of a run and its programs."""

    def __init__(self, keep: bool = False):
        self.folder = Path(tempfile.mkdtemp(prefix="linkup-drills-"))
        self.keep = keep
        self.processes: list[Process] = []
        atexit.register(self.close)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._leave)

    @staticmethod
    def _leave(number: int, _frame) -> None:
        raise SystemExit(128 + number)

    def __enter__(self) -> "Workshop":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def place(self, name: str) -> Path:
        """A folder of its own for a program."""
        path = self.folder / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def process(self, name: str, argv: list, env: dict | None = None, open_files: int | None = None) -> Process:
        """A program that is not started yet."""
        process = Process(name, argv, env, self.place(name) / "log", open_files)
        self.processes.append(process)
        return process

    def close(self) -> None:
        """Ends everything that was started. May be called again."""
        processes, self.processes = self.processes, []
        for process in reversed(processes):
            process.kill()
        if not self.keep:
            shutil.rmtree(self.folder, ignore_errors=True)
