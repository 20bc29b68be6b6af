"""The file of sinks: YAML -> sinks; every fault at once, with file, line, key path and what was expected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from postbeat import yamllines
from postbeat.model import SecurityType
from postbeat.profile import ProfileError, ProfileFault
from postbeat.sinks.config import SINK_TYPES, AnySink, EmailSink, Relay
from postbeat.sinks.notice import EventKind
from postbeat.sinks.sinktexts import EXPECTED, expected

SINKS_LIMIT = 100
_FILE_LIMIT = 1 << 20  # bytes of a file of sinks
_SECRETS = {"url", "secret", "headers", "password"}  # what stands there is never shown
_FLAGS = {"active", "repeats"}
_TEMPLATES = {"subject", "body", "text"}
_TEXTS = ("a text", "a name")  # how the words for what YAML may take for a number begin


def load(path: Path) -> tuple[AnySink, ...]:
    """The sinks of a file, inactive ones included.

    Raises:
        ProfileError: with every fault of the file.
    """
    loading = _Loading(path)
    loading.read()
    if loading.faults:
        raise ProfileError(loading.faults)
    return tuple(loading.sinks.values())


class _Loading:
    """Reads a file and gathers sinks and faults."""

    def __init__(self, file: Path) -> None:
        self.sinks: dict[str, AnySink] = {}
        self.faults: list[ProfileFault] = []
        self._file = file
        self._lines = yamllines.Lines()

    def read(self) -> None:
        data = self._data()
        if self.faults:
            return
        if not isinstance(data, dict):
            self._fault((), "expected a mapping with the key sinks")
            return
        for key in data:
            if key != "sinks":
                self._fault((key,), yamllines.unknown(key, ("sinks",)))
        items = data.get("sinks")
        if not isinstance(items, list) or not 1 <= len(items) <= SINKS_LIMIT:
            self._fault(("sinks",), f"expected a list of 1 to {SINKS_LIMIT} sinks")
            return
        for index, raw in enumerate(items):
            self._sink(("sinks", index), raw)

    def _data(self) -> Any:  # noqa: ANN401  YAML is untyped by nature
        try:
            with self._file.open("rb") as file:
                raw = file.read(_FILE_LIMIT + 1)
            if len(raw) > _FILE_LIMIT:
                self._fault((), f"larger than {_FILE_LIMIT} bytes")
                return None
            data, self._lines = yamllines.load(raw.decode())
        except OSError as error:
            self._fault((), f"cannot read it: {error.strerror}")
        except UnicodeDecodeError:
            self._fault((), "not text in UTF-8")
        except yamllines.YamlError as error:
            self.faults.append(ProfileFault(str(self._file), error.line, "", error.message))
        else:
            return data
        return None

    def _fault(self, path: yamllines.Path, message: str) -> None:
        line = self._lines.line(path)
        self.faults.append(ProfileFault(str(self._file), line, yamllines.dotted(path), message))

    def _sink(self, at: yamllines.Path, raw: object) -> None:
        if not isinstance(raw, dict):
            return self._fault(at, "expected a mapping with name and type")
        kind = raw.get("type")
        if not isinstance(kind, str) or kind not in SINK_TYPES:
            return self._fault((*at, "type"), _wrong("", ("type",), raw, None))
        values = {key: value for key, value in raw.items() if key != "type"}
        before = len(self.faults)
        sink = self._validated(at, SINK_TYPES[kind], values)
        if sink is None or len(self.faults) > before:
            return None
        for path, message in _contradictions(sink):
            self._fault((*at, *path), message)
        if sink.name in self.sinks:
            self._fault((*at, "name"), f"the name {sink.name!r} is taken by another sink of this file")
        self.sinks[sink.name] = sink
        return None

    def _validated(self, at: yamllines.Path, kind: type[AnySink], values: dict[str, Any]) -> AnySink | None:
        known = [field.name for field in fields(kind)]
        for key, value in values.items():
            if key not in known:
                self._fault((*at, key), yamllines.unknown(key, known))
            elif isinstance(value, bool) is not (key in _FLAGS):
                self._fault((*at, key), _wrong(kind.type, (key,), values, None))
        try:
            sound = {key: value for key, value in values.items() if key in known}
            return _ADAPTERS[kind].validate_python(sound)
        except ValidationError as error:
            problems = error.errors(include_url=False)
            paths = [_path_of(problem["loc"], values) for problem in problems]
            seen = {fault.path for fault in self.faults}
            for path, problem in zip(paths, problems, strict=True):
                # A list whose items are wrong counts as too short as well.
                inner = any(other[: len(path)] == path and other != path for other in paths)
                if not inner and yamllines.dotted((*at, *path)) not in seen:
                    seen.add(yamllines.dotted((*at, *path)))
                    self._fault((*at, *path), _message(kind.type, path, values, problem))
        return None


_ADAPTERS: Mapping[type[AnySink], TypeAdapter[AnySink]] = {it: TypeAdapter(it) for it in SINK_TYPES.values()}


def _contradictions(sink: AnySink) -> list[tuple[yamllines.Path, str]]:
    found: list[tuple[yamllines.Path, str]] = []
    if EventKind.ALERT in sink.kinds and set(sink.kinds) != {EventKind.ALERT}:
        found.append((("kinds",), "alert cannot stand beside other kinds: alerts have a stream of their own"))
    elif sink.repeats and EventKind.ALERT not in sink.kinds:
        found.append((("repeats",), "only alerts repeat; expected it beside kinds: alert"))
    if isinstance(sink, EmailSink):
        for index, relay in enumerate(sink.relays):
            at = ("relays", index)
            if bool(relay.username) is (relay.password is None):
                found.append((at, "username and password belong together"))
            elif relay.username and relay.securitytype is SecurityType.NONE:
                found.append(
                    ((*at, "securitytype"), "expected SSL or STARTTLS, as a password is sent to this relay")
                )
    return found


def _path_of(loc: Sequence[int | str], values: Mapping[str, Any]) -> yamllines.Path:
    """The part of an error's place that stands in the file; pydantic names steps of its own as well."""
    path: list[int | str] = []
    here: Any = values
    for part in loc:
        if part == "[key]" or (isinstance(part, int) and isinstance(here, str)):
            break  # the key itself is wrong; or one text stands where a list could
        path.append(part)
        if isinstance(here, dict):
            here = here.get(str(part))
        elif isinstance(here, list) and isinstance(part, int) and part < len(here):
            here = here[part]
        else:
            break
    return tuple(path)


def _message(kind: str, path: yamllines.Path, values: Mapping[str, Any], problem: Mapping[str, Any]) -> str:
    if problem["type"] == "unexpected_keyword_argument":
        known = [field.name for field in fields(Relay)]
        return yamllines.unknown(str(path[-1]), known)
    reason = problem.get("ctx", {}).get("error")
    return _wrong(kind, path, values, str(reason) if isinstance(reason, ValueError) else None)


def _wrong(kind: str, path: yamllines.Path, values: Mapping[str, Any], reason: str | None) -> str:
    """What was expected in a sink of a type, and what came; a value that may be a secret is never shown."""
    words = [str(part) for part in path if not isinstance(part, int)]
    takes = expected(kind, ".".join(words) if ".".join(words) in EXPECTED else words[0])
    value: Any = values
    for part in path:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return f"required: {takes}"
    if not _TEMPLATES.isdisjoint(words):
        return f"expected {takes}" + (f": {reason}" if reason else "")
    hint = "; put it in quotes" if isinstance(value, int | float) and takes.startswith(_TEXTS) else ""
    parts = value if isinstance(value, list) else [value]
    # Whoever takes a target for an address of the web may write a password before the @.
    hidden = not _SECRETS.isdisjoint(words) or (kind == "jsonlines" and "@" in str(value))
    if hidden or any(isinstance(part, dict | list) for part in parts):
        return f"expected {takes}{hint}"
    return f"expected {takes}, got {yamllines.shown(value)}{hint}"
