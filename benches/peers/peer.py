"""What all peers have in common: what is asked of them, in which order, and what must be true afterwards."""

import time

from children import Place, Wrong

STANDARD_TASKS = 5
# Caches and just-in-time compilers of the peers are warm before T; Hermes is measured from its first run on.
WARM_UP_RUNS = 100
# The same share as `hermes bench` takes before L.
WARM_UP_SHARE = 10
# A client hears of the last join before the peer has noted that it is done.
STORED_PATIENCE_S = 10


class Peer:
    """A peer: how to install it, how to start it, and what its store must have. Everything else is the same for all.

    It is a worker and a client that talk (children.py): the client answers to `T <runs>`, `L <runs>`, `F <width>` and
    `stored`, the worker to `executed`. They may be one program.
    """

    key = name = how = durability = ""

    def install(self, cache):
        """Installs what is needed below `cache` and gives the versions; `Failed` says why it cannot be had."""
        raise NotImplementedError

    def start(self, place, width):
        """Starts everything in `place` and gives worker and client."""
        raise NotImplementedError

    def stored(self, runs, wide_runs, width):
        """What its store calls completed when so many runs are: by default each task and each join."""
        return runs * (STANDARD_TASKS + 1) + wide_runs * (width + 1)

    def measure(self, options):
        """One repetition on a fresh system. The names of figures are those of `hermes bench`."""
        with Place(options.data) as place:
            worker, client = self.start(place, options.width)
            self.complete(client, "T", WARM_UP_RUNS)
            others, begun = place.seconds_of_others(), time.monotonic()
            many = self.complete(client, "T", options.runs)
            others = (place.seconds_of_others() - others) / (time.monotonic() - begun)
            single_runs = options.single_runs + options.single_runs // WARM_UP_SHARE
            single = self.complete(client, "L", single_runs)["ms"][-options.single_runs :]
            wide = [self.complete(client, "F", options.width, runs=1)["ms"] for _ in range(options.wide_runs)]
            runs = WARM_UP_RUNS + options.runs + single_runs
            self.check_store(client, self.stored(runs, options.wide_runs, options.width))
            tasks = runs * (STANDARD_TASKS + 1) + options.wide_runs * (options.width + 1)
            doubled = self.check_executions(worker, tasks)
        return {
            "T_runs_per_s": options.runs / many["seconds"],
            "L_p50_ms": quantile(single, 0.5),
            "L_p99_ms": quantile(single, 0.99),
            "F_ms": quantile(wide, 0.5),
            "T_cores_of_others": max(others, 0.0),
            "doubled": doubled,
        }

    def complete(self, client, figure, count, runs=None):
        """Asks for a figure; each run must come back with the results of all its tasks."""
        answer = client.ask(f"{figure} {count}")
        if answer["complete"] != (runs or count):
            raise Wrong(f"{figure}: of {runs or count} runs {answer['complete']} were complete")
        return answer

    def check_store(self, client, completed):
        wanted = {"completed": completed, "failed": 0, "open": 0}
        deadline = time.monotonic() + STORED_PATIENCE_S
        while (stored := client.ask("stored")) != wanted:
            if time.monotonic() > deadline:
                raise Wrong(f"its store has {stored} instead of {wanted}")
            time.sleep(0.1)

    def check_executions(self, worker, tasks):
        """Nothing may be lost. What was executed twice is counted: only once is more than any of them promises."""
        executed = worker.ask("executed")
        if executed["distinct"] != tasks:
            raise Wrong(f"{executed['distinct']} tasks were executed instead of {tasks}")
        return executed["executions"] - tasks


def quantile(values, share):
    """As `hermes bench` reads it from the sorted values."""
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]
