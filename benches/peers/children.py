"""Processes that do not outlive the measurement, however it ends, and the folder in which they keep what they have."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

# A shell beside each child holds a pipe to this program. A word through it says that the child has ended in order; a pipe
# that closes without one, that this program is gone.
GUARD = 'read -r word && exit; kill -9 "$1"; rm -rf "$2"'
START_PATIENCE_S = 60
END_PATIENCE_S = 30
ANSWER_PATIENCE_S = 900
LOG_BYTES_TOLD = 2_000


class Failed(Exception):
    """Something cannot be had, does not start or does not answer; the text says what."""


class Wrong(Failed):
    """Something was lost, or is not as it must be."""


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def post(url, body):
    """Posts JSON and gives the JSON of the answer."""
    headers = {"content-type": "application/json", "accept": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers), timeout=30) as answer:
        return json.load(answer)


class Child:
    """A running program. One that `talks` answers commands, a line each, with lines of JSON, and first says that it is ready."""

    def __init__(self, name, command, folder, environment, talks):
        self.name, self.log = name, folder / f"{name}.log"
        pipe = subprocess.PIPE if talks else None
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [str(part) for part in command],
                cwd=folder,
                env={"PATH": os.environ["PATH"]} | {key: str(value) for key, value in environment.items()},
                stdin=pipe or subprocess.DEVNULL,
                stdout=pipe or log,
                stderr=log,
                # Ctrl-C is for this program, which ends its children.
                start_new_session=True,
            )
            guard = ["sh", "-c", GUARD, "guard", str(self.process.pid), str(folder)]
            self.guard = subprocess.Popen(guard, stdin=subprocess.PIPE, stderr=log, start_new_session=True)

    def last_words(self):
        return self.log.read_bytes()[-LOG_BYTES_TOLD:].decode(errors="replace").strip()

    def answer(self, patience_s=ANSWER_PATIENCE_S):
        """The next line that it says."""
        late = threading.Timer(patience_s, self.process.kill)
        late.start()
        try:
            line = self.process.stdout.readline()
        finally:
            late.cancel()
        if not line:
            raise Failed(f"{self.name} ended, or did not answer within {patience_s} s: {self.last_words()}")
        return json.loads(line)

    def ask(self, command):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(f"{command}\n".encode())
            self.process.stdin.flush()
        return self.answer()

    def until(self, is_ready):
        """Asks until `is_ready` does not fail any more."""
        deadline = time.monotonic() + START_PATIENCE_S
        while True:
            try:
                return is_ready()
            except OSError as error:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise Failed(f"{self.name} does not get ready ({error}): {self.last_words()}") from error
                time.sleep(0.05)

    def listens(self, port):
        self.until(lambda: socket.create_connection(("127.0.0.1", port), timeout=5).close())

    def wait(self):
        """Waits until it ends by itself, and gives its exit code."""
        return self.process.wait()

    def end(self):
        self.process.terminate()
        try:
            self.process.wait(END_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        with contextlib.suppress(BrokenPipeError):
            self.guard.communicate(b"ended\n")


class Place:
    """A folder and the children that live in it; both are gone when it is left."""

    def __init__(self, data):
        self.folder = Path(tempfile.mkdtemp(prefix="hermes-peers-", dir=data))
        self.children = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for child in reversed(self.children):
            child.end()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, name, command, environment=None, talks=False):
        child = Child(name, command, self.folder, environment or {}, talks)
        self.children.append(child)
        if talks:
            child.answer(START_PATIENCE_S)
        return child

    def redis(self):
        """Starts a private Redis and gives its port."""
        port = free_port()
        options = {"port": port, "bind": "127.0.0.1", "dir": self.folder, "appendonly": "yes", "appendfsync": "everysec"}
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        self.start("redis", ["redis-server", *words, "--save", ""]).listens(port)
        return port

    def seconds_of_others(self):
        """Processor time that everything on this machine but these children has used, in seconds."""
        user, nice, system, _, _, irq, soft_irq, *_ = map(int, Path("/proc/stat").read_text().splitlines()[0].split()[1:])
        ours = 0
        for child in self.children:
            about = Path(f"/proc/{child.process.pid}/stat").read_text()
            # After the name: state is field 3, so user and system time (14 and 15) are words 11 and 12.
            ours += sum(map(int, about.rpartition(")")[2].split()[11:13]))
        return (user + nice + system + irq + soft_irq - ours) / os.sysconf("SC_CLK_TCK")
