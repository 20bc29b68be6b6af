"""What a monitor's properties ask for: its rules, its log and its datalog; and the same anew on SIGHUP."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from postbeat.ism.datalog import Datalog
from postbeat.ism.datalogformat import Format, FormatError
from postbeat.ism.lane import Lane
from postbeat.ism.logfile import LogFile, LogFileError
from postbeat.ism.properties import PROPERTIES
from postbeat.ism.props import Resolved
from postbeat.ism.propsfile import PropsError
from postbeat.ism.rules.errors import RulesErrors
from postbeat.ism.rules.loading import DEFAULTS, Reloader
from postbeat.ism.values import Value
from postbeat.model import Kind, Phase

OutfitErrors = (PropsError, RulesErrors, LogFileError, FormatError)
_LOGGER = logging.getLogger("postbeat.ism")
_OF_DATALOG = ("Datalog", "DatalogDir", "DatalogKeepDays")
_OF_LOG = ("MessageLog", "MessageLevel", "MaxLogFileSize", "MaxLogFiles")

Found = Mapping[str, Resolved]


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
        self._monitor, self._load, self._profile, self._report = monitor, load, profile, report
        self.found = load()
        self._beside: list[Lane] = []
        self._handler: logging.Handler | None = None
        self.lane = Lane(
            monitor,
            _rules(monitor, self.found),
            report,
            _values(self.found),
            self._opened(self.found),
            _datalog(self.found, profile),
        )

    @property
    def lanes(self) -> list[Lane]:
        """All lanes, the monitor's own first."""
        return [self.lane, *self._beside]

    def add(self, monitor: Kind, found: Found, phases: frozenset[Phase]) -> None:
        """A lane for some results of another monitor, beside: it shares log and datalog.

        Raises:
            RulesErrors: the rules of that monitor are not valid.
        """
        rules, lane = _rules(monitor, found), self.lane
        self._beside.append(
            Lane(monitor, rules, self._report, _values(found), lane.log, lane.datalog, phases)
        )

    def reload(self) -> None:
        """Reads properties and rules again, and opens the log anew. What is not valid changes nothing."""
        lane = self.lane
        lane.reopen()
        try:
            found = self._load()
            rules, datalog, form = lane.rules, lane.datalog, _format(found)
            if datalog is None or self._differ(found, _OF_DATALOG):  # else it still knows its files
                datalog = _datalog(found, self._profile)
            if self._differ(found, ("RulesFile",)):
                rules = _rules(self._monitor, found)
            if self._differ(found, _OF_LOG):
                before, lane.log = lane.log, self._opened(found)
                if before is not None:
                    before.close()
        except OutfitErrors as error:
            lane.tell("ERROR", f"The properties stay as they were:\n{error}")
        else:
            lane.rules, lane.datalog = rules, datalog
            if datalog is not None:
                datalog.format = form
            lane.properties = _values(found)
            self.found = found
        for one in self.lanes:
            one.log, one.datalog = lane.log, lane.datalog
            one.reload_rules()

    def _opened(self, found: Found) -> LogFile:
        """The log, which has what the datalog says of its files as well."""
        opened = _log(self._monitor, found)
        if self._handler is not None:
            _LOGGER.removeHandler(self._handler)
        self._handler = opened.handler
        _LOGGER.addHandler(self._handler)
        return opened

    def _differ(self, found: Found, names: Iterable[str]) -> bool:
        return any(found[name].value != self.found[name].value for name in names)


def _text(found: Found, name: str) -> str:
    return str(found[name].value)


def _number(found: Found, name: str) -> int:
    return int(found[name].value)


def _values(found: Found) -> dict[str, Value]:
    """The properties as rules see them: all but the secret ones."""
    return {name: it.value for name, it in found.items() if not PROPERTIES[name].secret}


def _rules(monitor: Kind, found: Found) -> Reloader:
    named = _text(found, "RulesFile")
    return Reloader(Path(named) if named else DEFAULTS[monitor])


def _log(monitor: Kind, found: Found) -> LogFile:
    path, level = _text(found, "MessageLog"), _text(found, "MessageLevel")
    size, keep = _number(found, "MaxLogFileSize"), _number(found, "MaxLogFiles")
    return LogFile(Path(path) if path else None, level, size, keep, monitor)


def _datalog(found: Found, profile: str) -> Datalog | None:
    if not found["Datalog"].value:
        return None
    folder, days = Path(_text(found, "DatalogDir")), _number(found, "DatalogKeepDays")
    return Datalog(folder, profile, _format(found), days)


def _format(found: Found) -> Format:
    return Format.parse(_text(found, "DatalogFormat"))
