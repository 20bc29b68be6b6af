"""How many results a second the rules can judge on one core: ``python -m benchmarks.rules``."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import click

from benchmarks.rig import json_option, show
from postbeat.ism.rules.loading import DEFAULTS, load
from postbeat.ism.rules.program import Program
from postbeat.ism.values import Value
from postbeat.model import Kind

ROUND = 500  # evaluations from one look at the clock to the next

# What the default files do not have: a lookup, two regular expressions, fifteen assignments with texts.
MADE_UP = """
table sites = {{"mx1.example.com", "Berlin", 4}, {"mx2.example.com", "Oslo", 3}} default = {"elsewhere", 1}

@Manager = "Postbeat"
@Agent = $monitor
@Node = $host
@AlertGroup = "Mail " + $monitor
@AlertKey = $identifier + "@" + $region
[@Location, @Grade] = lookup($host, sites)
if (regmatch($message, "[Rr]efused|timed? ?out")) { @Class = 2 }
@Customer = extract($host, "^[^.]+\\.([^.]+)\\.")
switch ($serviceLevel) {
    case "3": @Severity = 5 @Type = 1 @Summary = @AlertKey + " failed: " + $message
    case "2": @Severity = 3 @Type = 1 @Summary = @AlertKey + " is marginal: " + $message
    case "1": @Severity = 1 @Type = 2 @Summary = @AlertKey + " is good: " + $message
    default: @Severity = 2 @Type = 1 @Summary = @AlertKey + " is unknown: " + $message
}
@ExtendedAttr = "took " + $totalTime + " s, connected after " + $connectTime + " s"
@Identifier = @Node + " " + @AlertKey + " " + @AlertGroup + " " + @Type + " " + @Agent + " " + @Manager
"""

ELEMENTS: Mapping[str, Value] = {
    "description": "SMTP mx1.example.com",
    "host": "mx1.example.com",
    "identifier": "mx1",
    "region": "eu",
    "serviceLevel": 3,
    "lastServiceLevel": 1,
    "message": "Connection refused",
    "lookupTime": 0.012,
    "connectTime": 0.034,
    "responseTime": 0.25,
    "uploadTime": 0.118,
    "totalTime": 0.414,
    "bytesTransferred": 1834,
    "status": 421,
    "time": 1_700_000_000,
}


@click.command()
@click.option("--seconds", default=3.0, show_default=True, help="How long each file is run.")
@json_option
def main(seconds: float, as_json: bool) -> None:
    """Runs the default rules, and a file with a table and regular expressions; the slowest is shown first."""
    files = {str(kind): _figures(path, kind, seconds) for kind, path in DEFAULTS.items()}
    with tempfile.TemporaryDirectory(prefix="postbeat-bench-") as folder:
        path = Path(folder) / "made_up.rules"
        path.write_text(MADE_UP, encoding="utf-8")
        files["made_up"] = _figures(path, Kind.SMTP, seconds)
    slowest = min(files.values(), key=lambda figures: figures["evaluations_per_s"])
    show("The rules", {**slowest, "files": files}, as_json=as_json)


def _figures(path: Path, kind: Kind, seconds: float) -> dict[str, float]:
    load(path)  # the parser is built once
    began_s = time.process_time()
    program = load(path)
    load_ms = (time.process_time() - began_s) * 1000
    elements = {**ELEMENTS, "monitor": str(kind)}
    us_each = statistics.median(_rounds_us(program, elements, seconds))
    return {
        "evaluations_per_s": round(1e6 / us_each),
        "us_per_evaluation": round(us_each, 2),
        "load_ms": round(load_ms, 2),
    }


def _rounds_us(program: Program, elements: Mapping[str, Value], seconds: float) -> list[float]:
    """Microseconds of the processor for each evaluation, round by round; other processes apart."""
    outcome = program.run(elements)
    if outcome.fault is not None or not outcome.events:
        raise click.ClickException(f"the rules say nothing of the result: {outcome.fault or 'no event'}")
    found = []
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        began_s = time.process_time()
        for _ in range(ROUND):
            program.run(elements)
        found.append((time.process_time() - began_s) * 1e6 / ROUND)
    return found


if __name__ == "__main__":
    main()
