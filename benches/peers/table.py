"""What came out: a table for people, in Markdown, and one line of JSON for programs."""

import json
import os
import statistics

FIGURES = {"T_runs_per_s": "T, runs/s", "L_p50_ms": "L p50, ms", "L_p99_ms": "L p99, ms", "F_ms": "F, ms"}
# More than this, and the machine was not quiet.
CORES_OF_OTHERS_MAX = 0.1
IN_ADDITION = (
    "What Hermes does in addition, in the same time: everything that happens to a task is an event in Postgres that can be "
    "queried and streamed, without gaps; a diagnosis is made from all results and committed with the run's end; every run "
    "has a deadline that is kept. The peers store results and a final status."
)


def spread(rounds, figure):
    """Median, least and greatest; none if it was not measured."""
    values = [told[figure] for told in rounds if figure in told]
    return {"median": statistics.median(values), "min": min(values), "max": max(values)} if values else None


def shown(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def cell(told):
    return f"{shown(told['median'])} ({shown(told['min'])}–{shown(told['max'])})" if told else "–"


def row(*cells):
    return f"| {' | '.join(cells)} |"


def versions_of(system):
    return " ".join(f"{name} {version}" for name, version in system.versions.items())


class Outcome:
    """All figures of all systems; the first one is Hermes."""

    def __init__(self, systems, rounds, skipped, options):
        self.systems, self.rounds, self.skipped, self.options = systems, rounds, skipped, options
        names = [*FIGURES, "T_steady_runs_per_s", "T_cores_of_others", "doubled"]
        self.figures = {
            system.key: {name: told for name in names if (told := spread(rounds[system.key], name))} for system in systems
        }

    def ratios(self, peer):
        ours, theirs = self.figures["hermes"], self.figures[peer.key]
        return {name: ours[name]["median"] / theirs[name]["median"] for name in FIGURES}

    def others(self):
        return max(figures["T_cores_of_others"]["max"] for figures in self.figures.values())

    def doubled(self):
        return {key: int(figures["doubled"]["max"]) for key, figures in self.figures.items() if figures["doubled"]["max"]}

    def table(self):
        hermes, *peers = self.systems
        lines = [row("", *FIGURES.values()), row("---", *("---:" for _ in FIGURES))]
        for system in self.systems:
            figures = self.figures[system.key]
            lines.append(row(system.name, *(cell(figures[name]) for name in FIGURES)))
            if system is hermes:
                lines.append(row("Hermes, steady state", cell(figures["T_steady_runs_per_s"]), *["–"] * (len(FIGURES) - 1)))
        for peer in peers:
            lines.append(row(f"Hermes / {peer.name}", *(shown(ratio) for ratio in self.ratios(peer).values())))
        return "\n".join([*lines, "", *self.notes()])

    def notes(self):
        options, others = self.options, self.others()
        yield f"Medians of {options.repeat} (least–greatest), all systems in turn, {os.cpu_count()} cores for everything."
        yield "A ratio above 1 is good for T, below 1 for L and F."
        yield f"T: a backlog of {options.runs} runs; L: {options.single_runs} runs, one at a time; F: {options.width} tasks and a join."
        yield IN_ADDITION
        for system in self.systems:
            yield f"- {system.name}: {versions_of(system)}; {system.durability}; {system.how}."
        for name, reason in self.skipped.items():
            yield f"- {name}: SKIPPED: {reason}"
        doubled = self.doubled()
        yield f"Nothing of this was lost. Executed twice: {doubled or 'nothing'}."
        quiet = "" if others <= CORES_OF_OTHERS_MAX else " NOT QUIET: these figures are good for nothing but a try."
        yield f"Cores that others took during T: {others:.2f} at most.{quiet}"

    def json(self):
        hermes, *peers = self.systems
        about = {system.key: {"versions": system.versions, "durability": system.durability} for system in self.systems}
        told = {
            "figures": self.figures,
            "ratios": {peer.key: self.ratios(peer) for peer in peers},
            "about": about,
            "skipped": self.skipped,
            "runs": self.options.runs,
            "repeat": self.options.repeat,
            "cores": os.cpu_count(),
            "cores_of_others": self.others(),
        }
        return json.dumps(rounded(told))


def rounded(told):
    if isinstance(told, dict):
        return {name: rounded(value) for name, value in told.items()}
    return round(told, 3) if isinstance(told, float) else told
