"""Measures Hermes and its peers in one go, in turn, and prints how they compare."""

import argparse
import os
import signal
import sys
import tempfile
from pathlib import Path

from children import Failed, Wrong
from hermes import Hermes
from peers import PEERS
from table import Outcome

ROOT = Path(__file__).resolve().parents[2]
BY_KEY = {peer.key: peer for peer in PEERS}
DEFAULT_PEERS = "bullmq,restate,restate-rust,apalis"


def note(text):
    print(text, file=sys.stderr, flush=True)


def positive(word):
    if int(word) < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return int(word)


def some_peers(word):
    keys = word.split(",")
    if unknown := [key for key in keys if key not in BY_KEY]:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; there are {', '.join(BY_KEY)}")
    return [peer for peer in PEERS if peer.key in keys]


def parse(arguments):
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    parser = argparse.ArgumentParser(prog="scripts/peers", description=__doc__)
    parser.add_argument("--peers", type=some_peers, default=DEFAULT_PEERS, help=f"of {','.join(BY_KEY)} [{DEFAULT_PEERS}]")
    parser.add_argument("--runs", type=positive, default=2_000, help="runs of the backlog, for T [2000]")
    parser.add_argument("--single-runs", type=positive, default=500, help="runs one at a time, for L [500]")
    parser.add_argument("--wide-runs", type=positive, default=5, help="wide runs, for F, of which the median is taken [5]")
    parser.add_argument("--width", type=positive, default=1_000, help="tasks of a wide run [1000]")
    parser.add_argument("--seconds", type=positive, default=10, help="how long the steady state of Hermes is measured [10]")
    parser.add_argument("--repeat", type=positive, default=3, help="repetitions of everything [3]")
    parser.add_argument("--hermes", type=Path, default=target / "release", help="where its programs are [target/release]")
    parser.add_argument("--cache", type=Path, default=target / "peers", help="where peers are installed [target/peers]")
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(tempfile.gettempdir()),
        help="where all systems keep their data meanwhile: on the disk that is to be measured [the system's]",
    )
    options = parser.parse_args(arguments)
    for name in ("hermes", "cache", "data"):
        setattr(options, name, getattr(options, name).resolve())
    return options


def install(options):
    """Everything that can be had, Hermes first, and why the rest cannot."""
    systems, skipped = [], {}
    for system in [Hermes(options.hermes), *options.peers]:
        note(f"{system.name}: installing …")
        try:
            system.versions = system.install(options.cache)
        except Failed as failure:
            if system.key == "hermes":
                raise
            skipped[system.name] = f"it cannot be installed: {failure}"
            note(f"{system.name}: SKIPPED: {failure}")
        else:
            systems.append(system)
    return systems, skipped


def measure_in_turn(systems, skipped, options):
    """All repetitions, and whether nothing was wrong. A peer that fails is left out from then on, and so are its figures."""
    rounds, right = {system.key: [] for system in systems}, True
    for number in range(1, options.repeat + 1):
        for system in list(systems):
            note(f"{system.name}: repetition {number} of {options.repeat} …")
            try:
                told = system.measure(options)
            except Failed as failure:
                if system.key == "hermes":
                    raise
                right = right and not isinstance(failure, Wrong)
                skipped[system.name] = f"repetition {number}: {failure}"
                note(f"{system.name}: SKIPPED: {failure}")
                systems.remove(system)
            else:
                rounds[system.key].append(told)
                note("  " + ", ".join(f"{name} {value:.2f}" for name, value in told.items()))
    return rounds, right


def main(arguments):
    # So that whatever is open is closed, as after Ctrl-C.
    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, lambda number, _: sys.exit(128 + number))
    options = parse(arguments)
    try:
        systems, skipped = install(options)
        rounds, right = measure_in_turn(systems, skipped, options)
    except Failed as failure:
        note(f"Hermes: {failure}")
        return 1
    except KeyboardInterrupt:
        note("interrupted")
        return 130
    outcome = Outcome(systems, rounds, skipped, options)
    print(outcome.table(), outcome.json(), sep="\n\n")
    return 0 if right and not outcome.doubled() else 1
