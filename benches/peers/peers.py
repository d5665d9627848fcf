"""The peers: how each is installed and started. Their programs are in the folders beside this file."""

import os
import platform
import subprocess
from pathlib import Path

from children import Failed, free_port, post
from peer import STANDARD_TASKS, Peer

HERE = Path(__file__).resolve().parent
ARCHITECTURE = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
# Not the machine's: Restate's SDK needs a recent one, and figures should not depend on what is installed.
NODE_PACKAGE, NODE_VERSION = f"node-linux-{ARCHITECTURE}", "24.21.0"
# The 24 of Restate as shipped are slower on few cores.
PARTITIONS = max((os.cpu_count() or 1) // 2, 1)
REDIS_DURABILITY = "Redis with appendonly yes, appendfsync everysec: up to a second may be lost"


def run(command, **options):
    """Runs an installer; its last words are the reason if it fails."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **options)
    except FileNotFoundError as error:
        raise Failed(f"{command[0]} is not installed") from error
    if done.returncode != 0:
        raise Failed(f"{' '.join(command[:2])} failed: {done.stdout.strip()[-400:]}")
    return done.stdout


def npm(folder, packages):
    """Installs exactly these versions; scripts of packages are not run."""
    folder.mkdir(parents=True, exist_ok=True)
    named = [f"{name}@{version}" for name, version in packages.items()]
    run(["npm", "install", "--prefix", str(folder), "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", *named])
    return folder / "node_modules"


def cargo(cache, folder, pinned):
    """Builds the crate of a peer, and gives its program and the versions of the crates whose names begin with `pinned`."""
    manifest, target = HERE / folder / "Cargo.toml", cache / f"{folder}-target"
    run(["cargo", "build", "--release", "--locked", "--manifest-path", str(manifest), "--target-dir", str(target)])
    lines = [line.split(" = ") for line in manifest.read_text().splitlines() if line.startswith(pinned)]
    return target / "release" / f"peer-{folder}", {name: version.strip('"=') for name, version in lines}


def redis_version():
    words = run(["redis-server", "--version"]).split()
    return next(word.removeprefix("v=") for word in words if word.startswith("v="))


class OnNode(Peer):
    """A peer whose programs run on Node."""

    packages = {}

    def install(self, cache):
        self.node = npm(cache / "node", {NODE_PACKAGE: NODE_VERSION}) / NODE_PACKAGE / "bin" / "node"
        self.modules = npm(cache / self.folder, self.packages)
        return {**self.packages, "node": run([str(self.node), "--version"]).strip().removeprefix("v")}

    def program(self, place, name, settings):
        environment = {"NODE_PATH": self.modules, "NODE_ENV": "production", **settings}
        return place.start(name, [self.node, HERE / self.folder / f"{name}.js"], environment, talks=True)


class BullMq(OnNode):
    key, folder, name = "bullmq", "bullmq", "BullMQ flows"
    packages = {"bullmq": "6.7.0", "ioredis": "6.0.0"}
    durability = REDIS_DURABILITY
    how = "one worker process; flows submitted 100 in a call"

    def install(self, cache):
        return {**super().install(cache), "redis": redis_version()}

    def start(self, place, width):
        settings = {"REDIS_PORT": place.redis()}
        return self.program(place, "worker", settings), self.program(place, "client", settings)


class Restate(OnNode):
    """With the SDK for Node; STEPS says what a task is (restate/service.js)."""

    folder = "restate"
    packages = {"@restatedev/restate-server": "1.7.12", "@restatedev/restate-sdk": "1.17.2"}
    durability = "its own log, synced as it is shipped"

    def __init__(self, key, name, steps, how):
        self.key, self.name, self.steps, self.how = key, name, steps, how

    def service(self, place, settings):
        return self.program(place, "service", {"STEPS": self.steps, "RESTATE_LOGGING": "ERROR", **settings})

    def start(self, place, width):
        ingress, admin, node, service = (free_port() for _ in range(4))
        server = self.modules / f"@restatedev/restate-server-linux-{ARCHITECTURE}" / "bin" / "restate-server"
        command = [server, "--no-logo", "--base-dir", place.folder / "restate", "--node-name", "peer", "--log-filter", "warn"]
        command += ["--listen-mode", "tcp", "--bind-address", f"127.0.0.1:{node}", "--default-num-partitions", PARTITIONS]
        settings = {
            "RESTATE_INGRESS__BIND_ADDRESS": f"127.0.0.1:{ingress}",
            "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{admin}",
            "RESTATE_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "1",
        }
        restate = place.start("restate-server", command, settings)
        worker = self.service(place, {"SERVICE_PORT": service})
        restate.until(lambda: post(f"http://127.0.0.1:{admin}/deployments", {"uri": f"http://127.0.0.1:{service}"}))
        restate.listens(ingress)
        return worker, self.program(place, "client", {"INGRESS_PORT": ingress, "ADMIN_PORT": admin})

    def stored(self, runs, wide_runs, width):
        """Its workflows alone: calls of tasks are not kept when they are done."""
        return runs + wide_runs


class RestateRust(Restate):
    """With the SDK for Rust; the client is the same."""

    def __init__(self, key, name, how):
        super().__init__(key, name, "run", how)

    def install(self, cache):
        self.rust, pinned = cargo(cache, "restate", "restate-sdk")
        versions = super().install(cache)
        return {"@restatedev/restate-server": versions["@restatedev/restate-server"], **pinned}

    def service(self, place, settings):
        return place.start("service", [self.rust], settings, talks=True)


class Apalis(Peer):
    key, name = "apalis", "apalis-workflow"
    durability = REDIS_DURABILITY
    how = "workers and client in one process; fetches 100 at a time, looks every 5 ms"

    def install(self, cache):
        self.program, versions = cargo(cache, "apalis", "apalis-")
        return {**versions, "redis": redis_version()}

    def start(self, place, width):
        program = place.start("apalis", [self.program], {"REDIS_PORT": place.redis(), "WIDTH": width}, talks=True)
        return program, program

    def stored(self, runs, wide_runs, width):
        """A flow is a job that starts it, one for each task, and one for the join from each task that it waits for."""
        return runs * (1 + 2 * STANDARD_TASKS) + wide_runs * (1 + 2 * width)


REQUESTS = f"{PARTITIONS} partition(s), a client on Node with 256 requests at the same time"
STEPS = f"all tasks are steps inside of one handler; {REQUESTS}"

PEERS = [
    BullMq(),
    Restate("restate", "Restate, steps", "run", STEPS),
    Restate("restate-calls", "Restate, calls", "call", f"each task is a call of a service; {REQUESTS}"),
    RestateRust("restate-rust", "Restate, steps in Rust", STEPS),
    Apalis(),
]
