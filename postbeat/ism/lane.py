"""What becomes of one result: a line of the log, an entry of the datalog, and by the rules alerts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from postbeat import clock
from postbeat.alerts import Occurrence, alert_of
from postbeat.ism.datalog import Datalog
from postbeat.ism.elements import Surroundings, of_result
from postbeat.ism.logfile import LogFile
from postbeat.ism.rules.loading import DEFAULTS, Reloader, load
from postbeat.ism.rules.program import Outcome, Program, RuleEvent
from postbeat.ism.values import Value
from postbeat.model import Kind, Level, Pair, Phase
from postbeat.results import Result

FAULT_QUIET_US = 60_000_000  # a fault of the rules is told once in this time
RUNNING, GOING_DOWN = "Running ...", "Going Down ..."
WATCH_PHASE = "monitor"  # the $phase of what a monitor says of itself


@dataclass(frozen=True, slots=True)
class About:
    """What the events of a run are about: what their alerts have where rules set nothing.

    ``level`` is that of the result, None where there is none; ``pair`` and ``poll`` are those of the result.
    """

    agent: str
    at_us: int
    level: Level | None
    pair: Pair | None = None
    poll: str = ""

    def occurrence(self, event: RuleEvent) -> Occurrence:
        """The alert of an event."""
        target = {"Target": event.target} if event.target else {}
        alert = alert_of(
            {**target, **event.fields},
            event.details,
            at_us=self.at_us,
            pair=self.pair,
            poll=self.poll,
            agent=self.agent,
            level=self.level,
        )
        return Occurrence(alert, event.update_on_dedup | target.keys())


@dataclass
class Lane:
    """The results of one monitor. Lanes may share a log and a datalog.

    ``properties`` are what rules see as ``%Name``; what they assign stays for the results that follow.
    ``phases`` are those of the results that are taken, None for all. ``report`` takes what people should
    know; ``steady_us`` is a clock that nobody sets.
    """

    monitor: Kind
    rules: Reloader
    report: Callable[[str], None]
    properties: dict[str, Value] = field(default_factory=dict)
    log: LogFile | None = None
    datalog: Datalog | None = None
    phases: frozenset[Phase] | None = None
    steady_us: Callable[[], int] = clock.steady_us
    _own: Program | None = None  # our own rules, once they were needed
    _quiet_until_us: dict[str, int] = field(default_factory=dict)  # faults that were told

    def takes(self, result: Result) -> bool:
        """Whether a result is one of its own."""
        return result.kind is self.monitor and (self.phases is None or result.phase in self.phases)

    def datalog_path(self, result: Result) -> str:
        """The file of the datalog that a result goes to, "" where there is none."""
        return str(self.datalog.path_of(result.poll.element, result.at_us)) if self.datalog else ""

    def taken(self, key: str, result: Result, around: Surroundings) -> list[Occurrence]:
        """Puts a result into log and datalog. Returns what the rules make of it.

        ``key`` is another one for each result; the datalog takes each once.
        """
        elements = of_result(result, around)
        if self.log is not None:
            self.log.result(elements, result.at_us)
        if self.datalog is not None:
            self.datalog.append(result.poll.element, elements, result.at_us, key)
        about = About(str(self.monitor), result.at_us, result.level, result.poll.pair, str(result.poll))
        return self._occurrences(elements, {}, about)

    def watched(self, text: str, around: Surroundings, at_us: int) -> list[Occurrence]:
        """What the rules make of the monitor's own RUNNING or GOING_DOWN.

        As of OMNIbus's probes, ``@Manager`` is ``ProbeWatch`` then, and ``@Summary`` the text. ``@AlertKey``
        tells monitors of several regions on one host apart.
        """
        region = around.monitor_region
        self.say("INFO", text)
        elements: dict[str, Value] = {
            "message": text,
            "monitor": str(self.monitor),
            "phase": WATCH_PHASE,
            "identifier": around.profile,
            "profile": around.profile,
            "host": around.monitor_host,
            "monitorHost": around.monitor_host,
            "time": at_us // 1_000_000,
            **({"region": region} if region else {}),
        }
        is_running = text == RUNNING
        fields: dict[str, Value] = {
            "Manager": "ProbeWatch",
            "Agent": str(self.monitor),
            "Node": around.monitor_host,
            "AlertGroup": f"{self.monitor.upper()} monitor",
            "AlertKey": f"{around.profile}@{region}" if region else around.profile,
            "Summary": text,
            "Severity": 1 if is_running else 5,
            "Type": 2 if is_running else 1,
        }
        level = Level.GOOD if is_running else Level.FAILED
        return self._occurrences(elements, fields, About(str(self.monitor), at_us, level))

    def reopen(self) -> None:
        """Opens the log anew, as it may have been moved away."""
        if self.log is not None:
            self.log.reopen()

    def reload_rules(self) -> None:
        """Reads the rules again; where they are not valid, those before stay."""
        errors = self.rules.reload()
        if errors is None:
            self.say("INFO", "The rules were read again")
        else:
            self.tell("ERROR", f"The rules stay as they were, as the new ones are not valid:\n{errors}")

    def tell(self, level: str, text: str) -> None:
        """Tells people something, and the log."""
        self.report(f"{self.monitor}: {text}")
        for line in text.splitlines():
            self.say(level, line)

    def say(self, level: str, text: str) -> None:
        """Tells the log something."""
        if self.log is not None:
            self.log.write(level, text)

    def _occurrences(
        self, elements: Mapping[str, Value], fields: Mapping[str, Value], about: About
    ) -> list[Occurrence]:
        """What the rules make of it; where they have a fault, what our own do."""
        outcome = self._run(self.rules.current, elements, fields)
        if outcome.fault is not None:
            self._tell_fault(str(outcome.fault))
            self._own = self._own or load(DEFAULTS[self.monitor])
            outcome = self._run(self._own, elements, fields)
        self.properties.update(outcome.properties)
        return [about.occurrence(event) for event in outcome.events]

    def _run(self, rules: Program, elements: Mapping[str, Value], fields: Mapping[str, Value]) -> Outcome:
        outcome = rules.run(elements, self.properties, fields=fields)
        for line in outcome.log:
            self.say(line.level, line.text)
        for state in outcome.services:
            self.say("INFO", f"Service {state.service} is {state.level}")
        return outcome

    def _tell_fault(self, text: str) -> None:
        """Tells of a fault of the rules, not more than once in a minute of the same."""
        now_us = self.steady_us()
        if now_us < self._quiet_until_us.get(text, now_us):
            return
        self._quiet_until_us = {one: at for one, at in self._quiet_until_us.items() if at > now_us}
        self._quiet_until_us[text] = now_us + FAULT_QUIET_US
        self.tell("ERROR", f"{text}; our own rules are used in their place")
