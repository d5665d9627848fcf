"""Hermes itself, measured by `hermes bench`, which starts a private system and checks it."""

import json

from children import Failed, Place

BENCH = ["bench", "--json"]


class Hermes:
    """The system that the peers are compared with; it has what a peer has."""

    key, name = "hermes", "Hermes"
    how = "one dispatcher, one worker-runner; batches of 50 over HTTP, 4 clients"
    durability = ""

    def __init__(self, programs):
        self.program = programs / "hermes"

    def install(self, _):
        """It is built already; what its versions are is known when it has been measured."""
        for name in ("hermes", "hermes-dispatcher", "hermes-worker-runner"):
            if not (self.program.parent / name).exists():
                raise Failed(f"{self.program.parent / name} does not exist: cargo build --release --workspace --bins")
        return {}

    def measure(self, options):
        sizes = ["--runs", options.single_runs, "--wide-runs", options.wide_runs, "--width", options.width]
        figures = self.bench(options, ["T", "L", "F", "--backlog", options.runs, *sizes])
        steady = self.bench(options, ["T", "--seconds", options.seconds])
        self.versions = {name: figures[name].split(" (")[0] for name in ("hermes", "postgres", "redis")}
        self.versions["commit"] = figures["commit"]
        postgres, redis = (figures[name].rpartition(" (")[2].rstrip(")") for name in ("postgres", "redis"))
        self.durability = f"Postgres with {postgres}: nothing accepted may be lost; Redis with {redis}: all of it may be lost"
        names = ("T_runs_per_s", "L_p50_ms", "L_p99_ms", "F_ms")
        return {
            **{name: figures[name] for name in names},
            "T_steady_runs_per_s": steady["T_runs_per_s"],
            "T_cores_of_others": max(figures["T_cores_of_others"], steady["T_cores_of_others"]),
            "doubled": sum(told["executions"] - told["services"] for told in (figures, steady)),
        }

    def bench(self, options, words):
        """Its line of JSON. It tells none if anything was lost or wrong."""
        with Place(options.data) as place:
            child = place.start("hermes", [self.program, *BENCH, "--data", options.data, *words])
            code = child.wait()
            lines = child.log.read_text().splitlines()
            told = next((json.loads(line) for line in lines if line.startswith("{")), None)
            if told is None:
                raise Failed(f"hermes bench ended with {code}: {child.last_words()}")
            return told
