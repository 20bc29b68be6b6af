"""What a monitor's properties ask for: its rules, its log and its datalog; and the same anew on SIGHUP."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from postbeat.ism.datalog import Datalog
from postbeat.ism.datalogformat import Format, FormatError
from postbeat.ism.lane import Lane
from postbeat.ism.logfile import LogFile, LogFileError
from postbeat.ism.props import Resolved, seen_by_rules
from postbeat.ism.propsfile import PropsError
from postbeat.ism.rules.errors import RulesErrors
from postbeat.ism.rules.loading import DEFAULTS, Reloader
from postbeat.model import Kind, Phase

OutfitErrors = (PropsError, RulesErrors, LogFileError, FormatError)
_OF_DATALOG = ("Datalog", "DatalogDir", "DatalogKeepDays")
_OF_LOG = ("MessageLog", "MessageLevel", "MaxLogFileSize", "MaxLogFiles")

Found = Mapping[str, Resolved]


@dataclass
class _Part:
    """A lane, how its properties are loaded, and those that it has."""

    lane: Lane
    load: Callable[[], Found]
    found: Found

    def rules(self, found: Found) -> Reloader:
        """The rules that properties name."""
        if _differ(self.found, found, ("RulesFile",)):
            return _rules(self.lane.monitor, found)
        return self.lane.rules

    def take(self, found: Found, rules: Reloader, log: LogFile | None, datalog: Datalog | None) -> None:
        """Has the lane use these from now on."""
        self.found = found
        self.lane.properties = seen_by_rules(found)
        self.lane.rules, self.lane.log, self.lane.datalog = rules, log, datalog


class Outfit:
    """The lane of a monitor, as its properties have it.

    ``load`` gives the properties, each time anew; ``profile`` is the profile's name. ``report`` takes what
    people should know.

    Raises:
        PropsError, RulesErrors, LogFileError, FormatError: something is not valid.
    """

    def __init__(
        self, monitor: Kind, load: Callable[[], Found], profile: str, report: Callable[[str], None]
    ) -> None:
        self._profile, self._report = profile, report
        found = load()
        self.lane = Lane(
            monitor,
            _rules(monitor, found),
            report,
            seen_by_rules(found),
            _log(monitor, found),
            self._datalog(found),
        )
        self._parts = [_Part(self.lane, load, found)]

    @property
    def lanes(self) -> list[Lane]:
        """All lanes, the monitor's own first."""
        return [part.lane for part in self._parts]

    def add(self, monitor: Kind, load: Callable[[], Found], phases: frozenset[Phase]) -> None:
        """A lane for some results of another monitor, beside: it shares log and datalog.

        Raises:
            PropsError, RulesErrors: properties or rules of that monitor are not valid.
        """
        found, own = load(), self.lane
        rules, values = _rules(monitor, found), seen_by_rules(found)
        lane = Lane(monitor, rules, self._report, values, own.log, own.datalog, phases)
        self._parts.append(_Part(lane, load, found))

    def reload(self) -> None:
        """Reads properties and rules again, and opens the log anew. What is not valid changes nothing."""
        lane, before = self.lane, self._parts[0].found
        lane.reopen()
        try:
            loaded = [part.load() for part in self._parts]
            rules = [part.rules(found) for part, found in zip(self._parts, loaded, strict=True)]
            found, datalog, log = loaded[0], lane.datalog, lane.log
            form = _format(found)
            if datalog is None or _differ(before, found, _OF_DATALOG):  # else it still knows its files
                datalog = self._datalog(found)
            if _differ(before, found, _OF_LOG):
                log = _log(lane.monitor, found)
        except OutfitErrors as error:
            lane.tell("ERROR", f"The properties stay as they were:\n{error}")
        else:
            if lane.log is not None and lane.log is not log:
                lane.log.close()
            if datalog is not None:
                datalog.format = form
            for part, its, named in zip(self._parts, loaded, rules, strict=True):
                part.take(its, named, log, datalog)
        for one in self.lanes:
            one.reload_rules()

    def _datalog(self, found: Found) -> Datalog | None:
        if not found["Datalog"].value:
            return None
        folder, days = Path(_text(found, "DatalogDir")), _number(found, "DatalogKeepDays")
        return Datalog(folder, self._profile, _format(found), days, tell=self._say)

    def _say(self, level: str, text: str) -> None:
        """Tells the log, whichever it is by then."""
        self.lane.say(level, text)


def _differ(one: Found, other: Found, names: Iterable[str]) -> bool:
    return any(one[name].value != other[name].value for name in names)


def _text(found: Found, name: str) -> str:
    return str(found[name].value)


def _number(found: Found, name: str) -> int:
    return int(found[name].value)


def _rules(monitor: Kind, found: Found) -> Reloader:
    named = _text(found, "RulesFile")
    return Reloader(Path(named) if named else DEFAULTS[monitor])


def _log(monitor: Kind, found: Found) -> LogFile:
    path, level = _text(found, "MessageLog"), _text(found, "MessageLevel")
    size, keep = _number(found, "MaxLogFileSize"), _number(found, "MaxLogFiles")
    return LogFile(Path(path) if path else None, level, size, keep, monitor)


def _format(found: Found) -> Format:
    return Format.parse(_text(found, "DatalogFormat"))
