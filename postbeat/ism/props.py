"""The properties of a monitor, and where each came from: command line, environment, file or default."""

from __future__ import annotations

import difflib
import functools
import os
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from postbeat.ism.home import home_of, with_home
from postbeat.ism.properties import ELSEWHERE, NAMES, PROPERTIES, Property, PropertyType, of_kind
from postbeat.ism.propsfile import (
    FAULTS_LIMIT,
    FILE_LIMIT,
    PropsError,
    PropsFault,
    PropsFile,
    UndefinedVariableError,
    scan,
)
from postbeat.ism.propvalues import value_of
from postbeat.ism.values import Value
from postbeat.model import Kind
from postbeat.settings import Settings
from postbeat.tls import ciphers

_IN_BIN = ("SSLCertificateFile", "SSLKeyFile")
PASSWORDS = ("SSLKeyPasswordFile", "SSLKeyPassword")  # where one source has both, the file is used


class Source(StrEnum):
    """Where a value came from; the first of these that has one decides."""

    ARGUMENTS = "command line"
    ENVIRONMENT = "environment"
    FILE = "file"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Resolved:
    """A value and where it came from; ``where`` names the option, the variable, or file and line.

    ``note`` is what somebody should know of it, such as ciphers that are no more.
    """

    value: Value = field(repr=False)  # it may be a secret
    source: Source
    where: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class _Given:
    """A text for a property, and where it stands: an option, a variable, or a file and its line."""

    source: Source
    text: str = field(repr=False)
    place: str
    line: int = 0

    @property
    def where(self) -> str:
        return f"{self.place}:{self.line}" if self.line else self.place


def load(kind: Kind, *, arguments: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, Resolved]:
    """The properties of a monitor, with its properties file: what PropsFile names, or ``$ISHOME`` has.

    Raises:
        PropsError: with all that is wrong with them.
    """
    named = _Resolving(kind, arguments, environ, None)
    path = named.found(PROPERTIES["PropsFile"]).value
    if named.faults:
        raise PropsError(named.faults)
    file = read(Path(str(path))) if path else None
    return resolve(kind, arguments=arguments, environ=environ, file=file)


def read(path: Path) -> PropsFile:
    """A properties file. What is wrong with its syntax is in its ``faults``, for :func:`resolve` to raise.

    Raises:
        PropsError: it cannot be read, is too large, or is not text in UTF-8.
    """
    try:
        # Of a named pipe nobody may ever write into, without O_NONBLOCK this would wait for it.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise PropsError([PropsFault(str(path), 0, "not a file")])
            data = file.read(FILE_LIMIT + 1)
        if len(data) > FILE_LIMIT:
            raise PropsError([PropsFault(str(path), 0, f"larger than {FILE_LIMIT} bytes")])
        return scan(data.decode(), str(path))
    except OSError as error:
        raise PropsError([PropsFault(str(path), 0, f"cannot read it: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise PropsError([PropsFault(str(path), line, "not text in UTF-8")]) from error


def resolve(
    kind: Kind, *, arguments: Mapping[str, str], environ: Mapping[str, str], file: PropsFile | None
) -> dict[str, Resolved]:
    """Each property of a monitor, in the order of the definitions.

    An empty text stands for the default; an empty variable is as good as none. Values that another one
    overrides must be right as well. Relative paths of certificates are looked up under ``$ISHOME``. The
    password of their key is that of its file or that in the clear, whichever comes first.

    Args:
        kind: the monitor.
        arguments: texts by names of properties, as :func:`split_arguments` has them.
        environ: for its own variables, and for those that values name.
        file: the properties file; its faults are raised with the others.

    Raises:
        PropsError: with all that is wrong, in the order of the sources.
    """
    resolving = _Resolving(kind, arguments, environ, file)
    found = {name: resolving.found(it) for name, it in of_kind(kind).items()}
    _settle_password(found)
    resolving.look_for_strangers()
    if resolving.faults:
        places = [""] if file is None else [file.name]
        raise PropsError(sorted(resolving.faults, key=lambda it: (it.file in places, it.line)))
    return found


def _settle_password(found: dict[str, Resolved]) -> None:
    """Leaves one of the two that a password can be given by: that of the source that comes first."""
    used, other = sorted(PASSWORDS, key=lambda name: list(Source).index(found[name].source))
    if found[other].source is not Source.DEFAULT:
        note = f"not used, as {used} ({found[used].where}) comes first"
        found[other] = Resolved(PROPERTIES[other].default, Source.DEFAULT, note=note)


class _Resolving:
    """Finds values, and gathers faults."""

    def __init__(
        self,
        kind: Kind,
        arguments: Mapping[str, str],
        environ: Mapping[str, str],
        file: PropsFile | None,
    ) -> None:
        self.faults: list[PropsFault] = list(file.faults) if file else []
        self._kind = kind
        self._arguments = arguments
        self._environ = environ
        self._file = file
        self._home = home_of(environ)
        self._variables = with_home(environ)

    def found(self, it: Property) -> Resolved:
        """The value of a property; where it has a fault, the default."""
        found = [self._resolved(it, given) for given in self._given(it)]
        return found[0] if found else self._default(it)

    def look_for_strangers(self) -> None:
        """Finds names that are no property of this monitor."""
        for name in self._arguments:
            if name not in of_kind(self._kind):
                self._fault(f"-{name.lower()}", _strange(name, self._kind))
        for entry in self._file.values.values() if self._file else ():
            if len(self.faults) >= FAULTS_LIMIT:
                break
            name = NAMES.get(entry.name.casefold(), entry.name)
            if name.casefold() in ELSEWHERE and not entry.value:
                continue  # it says nothing, and so asks for nothing
            if name not in of_kind(self._kind):
                self._fault(self._place, _strange(name, self._kind), entry.line)
            elif name == "PropsFile":
                self._fault(self._place, "PropsFile cannot stand in a properties file", entry.line)

    @property
    def _place(self) -> str:
        return self._file.name if self._file else ""

    def _fault(self, place: str, message: str, line: int = 0) -> None:
        self.faults.append(PropsFault(place, line, message))

    def _given(self, it: Property) -> Iterator[_Given]:
        if it.name in self._arguments:
            yield _Given(Source.ARGUMENTS, self._arguments[it.name], it.options[0])
        variables = [name for name in dict.fromkeys(it.variables) if self._environ.get(name)]
        if variables:
            if len({self._environ[name] for name in variables}) > 1:
                self._fault(variables[1], f"not the same as {variables[0]}, which is the same property")
            yield _Given(Source.ENVIRONMENT, self._environ[variables[0]], variables[0])
        entry = self._file.entry(it.name) if self._file else None
        if entry is not None and it.name != "PropsFile":
            try:
                text = entry.expanded(self._variables)
            except UndefinedVariableError as error:
                name = "a variable" if it.secret else f"${error}"
                message = f"{it.name}: {name} is not set in the environment; a dollar sign is written \\$"
                self._fault(self._place, message, entry.line)
            else:
                yield _Given(Source.FILE, text, self._place, entry.line)

    def _resolved(self, it: Property, given: _Given) -> Resolved:
        if not given.text:
            return self._default(it, given.where)
        try:
            value = value_of(it, given.text)
            if it.name in _IN_BIN:
                value = self._in_bin(str(value))
        except ValueError as error:
            named = f"{it.name}: " if given.line else ""
            self._fault(given.place, f"{named}{error}", given.line)
            return self._default(it)
        note = ciphers.fitted(str(value)).note if it.name == "SSLCipherSuite" else ""
        return Resolved(value, given.source, given.where, note)

    def _default(self, it: Property, where: str = "") -> Resolved:
        if it.name == "SSLCipherSuite":
            note = "not set, so that the safe ciphers of today's OpenSSL are used in its place"
            return Resolved(it.default, Source.DEFAULT, where, note)
        if it.at_home and self._home:
            path = Path(self._home, it.at_home.format(kind=self._kind.value))
            try:
                if _mode(path.parent if it.written else path):
                    place = f"$ISHOME/{path.relative_to(self._home)}"
                    return Resolved(str(path), Source.DEFAULT, where or place)
            except OSError as error:
                self._fault(str(path), f"cannot look at it: {error.strerror}")
        return Resolved(it.default, Source.DEFAULT, where)

    def _in_bin(self, path: str) -> str:
        """The file that a relative path means: the page takes it from ``$ISHOME/platform/ARCH/bin``."""
        if not self._home or os.path.isabs(path):
            return path
        platform = Path(self._home, "platform")
        try:
            places = [folder / path for folder in sorted(platform.glob("*/bin"))]
            found = [str(place) for place in places if stat.S_ISREG(_mode(place))]
        except OSError as error:
            raise ValueError(f"cannot look for it in {platform}/ARCH/bin: {error.strerror}") from error
        if len(found) == 1:
            return found[0]
        if found:
            raise ValueError(f"expected an absolute path, as {path!r} is in {' and in '.join(found)}")
        raise ValueError(f"expected a file in {platform}/ARCH/bin, as $ISHOME is set, got {path!r}")


def _mode(path: Path) -> int:
    """The mode of a file or folder, and 0 where there is none.

    Raises:
        OSError: it cannot be looked at.
    """
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0


def _strange(name: str, kind: Kind) -> str:
    it = PROPERTIES.get(name)
    if it is not None:
        return f"{name} is a property of {' and '.join(sorted(it.monitors))}, not of {kind}"
    if name.casefold() in ELSEWHERE:
        return f"{name} is no property here: {ELSEWHERE[name.casefold()]}"
    close = difflib.get_close_matches(name.casefold(), [one.casefold() for one in of_kind(kind)], 1)
    hint = f"; did you mean {NAMES[close[0]]}?" if close else f"; postbeat ism props {kind} lists them"
    return f"{name} is no property of {kind}{hint}"


def seen_by_rules(resolved: Mapping[str, Resolved]) -> dict[str, Value]:
    """The properties as rules see them, as ``%Name``: all but the secret ones."""
    return {name: it.value for name, it in resolved.items() if not PROPERTIES[name].secret}


def settings_of(resolved: Mapping[str, Resolved]) -> dict[str, Any]:
    """What :func:`postbeat.settings.load` takes as given, for each property that is a setting.

    Defaults are given as well: where properties are used, they decide, and not the environment anew.
    """
    defaults = Settings()
    given: dict[str, Any] = {}
    for name, found in resolved.items():
        it = PROPERTIES[name]
        if it.setting and found.source is Source.DEFAULT:
            given[it.setting] = getattr(defaults, it.setting)
        elif it.setting:
            given[it.setting] = bool(found.value) if it.type is PropertyType.FLAG else found.value
    return given


def split_arguments(
    kind: Kind | None, argv: Sequence[str], own: Collection[str] = ()
) -> tuple[dict[str, str], list[str]]:
    """The properties on a command line, as texts by their names, and what is left of it.

    ``-originator X`` and ``--originator X``, also with ``=``, in any case; flags are ``-usebody``,
    ``-nousebody`` and ``-usebody 1``. Of two the later one counts. Nothing behind ``--`` is looked at.

    Args:
        kind: the monitor; None takes the options of all of them.
        argv: without the name of the command.
        own: the names of the command's own options, without dashes: they are left, and no values.

    Raises:
        PropsError: an option needs a value, or is one of another monitor.
    """
    given: dict[str, str] = {}
    left: list[str] = []
    faults: list[PropsFault] = []
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        if word == "--":
            return _split(given, [*left, word, *rest], faults)
        option, sign, text = word.partition("=")
        it, negated = _option(option)
        if it is None or (negated and sign):
            left.append(word)
        elif kind is not None and kind not in it.monitors:
            faults.append(PropsFault(option, 0, _strange(it.name, kind)))
        elif sign:
            given[it.name] = text
        elif it.type is PropertyType.FLAG:
            explicit = not negated and bool(rest) and rest[0] in ("0", "1")
            given[it.name] = rest.pop(0) if explicit else "0" if negated else "1"
        elif not rest or _is_option(rest[0], own):
            faults.append(PropsFault(option, 0, f"expected {it.expected} after it"))
        else:
            given[it.name] = rest.pop(0)
    return _split(given, left, faults)


def _split(
    given: dict[str, str], left: list[str], faults: Sequence[PropsFault]
) -> tuple[dict[str, str], list[str]]:
    if faults:
        raise PropsError(faults)
    return given, left


def _is_option(word: str, own: Collection[str]) -> bool:
    option = word.partition("=")[0]
    return _option(option)[0] is not None or (option.startswith("-") and option.lstrip("-") in own)


def _option(word: str) -> tuple[Property | None, bool]:
    """The property of an option, and whether it negates it."""
    if not word.startswith("-"):
        return None, False
    name = f"-{word.removeprefix('-').removeprefix('-')}".lower()
    return _options().get(name, (None, False))


@functools.cache
def _options() -> dict[str, tuple[Property | None, bool]]:
    found: dict[str, tuple[Property | None, bool]] = {}
    for it in PROPERTIES.values():
        found |= dict.fromkeys(it.options, (it, False))
        if it.type is PropertyType.FLAG:
            found[f"-no{it.name.lower()}"] = (it, True)
    return found
