"""``postbeat monitor`` and ``nco_m_smtp``, ``nco_m_imap4``, ``nco_m_pop3``: one monitor as a service."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib import metadata
from pathlib import Path

import click

from postbeat import settings
from postbeat.cli.common import WRONG, explained, fail, load, say
from postbeat.cli.properties import WithProperties, properties_given
from postbeat.cli.site import make_folder, site_key, state_folder
from postbeat.elements import SmtpElement
from postbeat.ism import monitoring
from postbeat.ism import props as properties
from postbeat.ism.monitoring import Plan, Signals, regions_of
from postbeat.ism.outfit import Outfit, OutfitErrors
from postbeat.ism.properties import PROPERTIES
from postbeat.ism.props import Resolved, Source
from postbeat.ism.propvalues import shown
from postbeat.model import Kind, Phase
from postbeat.profile import Profile

_DELIVERY = frozenset({Phase.READ, Phase.AFTER})
# What the site of a monitor says to its processes itself.
_OF_SITE = ("redis_url", "key_file", "profile", "region")

state_option = click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder of data, the site key and the logs of workers and beat "
    "[default: postbeat in XDG_STATE_HOME].",
)


def _version(name: str) -> Callable[..., None]:
    def callback(ctx: click.Context, _: click.Parameter, value: bool) -> None:
        if value:
            click.echo(f"{name} (Postbeat) {metadata.version('postbeat')}")
            ctx.exit()

    return callback


def _of_monitor(kind: Kind) -> click.Command:
    """The command that runs one monitor under the name of the ISM's executable."""
    name = f"nco_m_{kind}"

    class Command(WithProperties):
        monitor = kind

    @click.command(name, cls=Command, context_settings={"help_option_names": ["-h", "--help"]})
    @click.argument("profile", required=False, type=click.Path())
    @state_option
    @click.option(
        "--version",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_version(name),
        help="Show the version.",
    )
    @click.pass_context
    def command(ctx: click.Context, profile: str | None, state: Path | None) -> None:
        _run(kind, properties_given(ctx), profile, state)

    command.help = _HELP.format(upper=kind.upper())
    return command


_HELP = """Runs the {upper} monitor of PROFILE, a file or a folder, in the foreground.

It has workers for the regions of its elements, schedules their polls, and brings the results to the log, to
the datalog and, by its rules, to the table of alerts. Without PROFILE the property Profile names it. Redis is
a private one unless -redis or POSTBEAT_REDIS_URL names another, which several monitors may share.

SIGHUP reads properties and rules again and opens the log anew. SIGTERM ends it (exit code 0), and so does
Ctrl-C (130).

Exit code 2: something is wrong that it cannot begin without; the message says what.
"""


monitor = click.Group(
    "monitor",
    help="Runs one monitor as a service, as nco_m_smtp was run: smtp, imap4 or pop3.",
    commands={str(kind): _of_monitor(kind) for kind in Kind},
)
nco_m_smtp, nco_m_imap4, nco_m_pop3 = (_of_monitor(kind) for kind in Kind)


def _run(kind: Kind, arguments: Mapping[str, str], given: str | None, state: Path | None) -> None:
    signals = Signals()
    with explained(WRONG), mistakes_explained(), heeded(signals) as ended_by:
        read = partial(properties.load, kind, arguments=arguments, environ=os.environ)
        plan = _plan(kind, read, given, state or state_folder())
        monitoring.run(plan, signals, say)
    say("Ended.")
    sys.exit(130 if signal.SIGINT in ended_by else 0)


def _plan(kind: Kind, read: Callable[[], Mapping[str, Resolved]], given: str | None, state: Path) -> Plan:
    """What there is to run. Says it, too.

    Raises:
        SettingsError, ProfileError, and OutfitErrors: something is not valid, or missing.
    """
    found = read()
    named, region = given or str(found["Profile"].value), str(found["Region"].value)
    if not named:
        raise settings.SettingsError("no profile: name a file or a folder, or set the property Profile")
    # Whole, as "." has no name, and beat would take "-odd.yaml" for an option.
    path, whole = Path(named), Path(os.path.abspath(named))
    profile = load(path)
    regions = sorted(regions_of(kind, region, profile))
    if not regions:
        where = f" in region {region}" if region else ""
        raise settings.SettingsError(f"{path} has no {kind} element that is polled or read{where}")
    config = settings.load(**properties.settings_of(found))
    folder = state / f"monitor-{kind}"
    make_folder(folder)
    outfit = Outfit(kind, read, whole.stem, say)
    if kind is Kind.SMTP and not config.redis_url:
        for reader in (Kind.IMAP4, Kind.POP3):  # the profile may come to name any
            _add(outfit, reader, needed=reader in _readers(profile))
    _say_what_is_used(found, folder, f"{kind} monitor of {path}, in {', '.join(regions)}")
    return Plan(
        kind,
        whole,
        folder,
        # Two sites that share a mailbox must not take each other's messages for their own.
        site_key(config, state if config.redis_url else folder),
        outfit.lanes,
        outfit.reload,
        config.redis_url,
        region,
        dict(_variables(found)),
    )


def _add(outfit: Outfit, reader: Kind, *, needed: bool) -> None:
    """Adds the lane of what a reader finds. Where its files have faults, one that is not needed is left out.

    Raises:
        PropsError, RulesErrors: the files of a reader that is needed are not valid.
    """
    try:
        outfit.add(
            reader, partial(properties.load, reader, arguments={}, environ=_without_files()), _DELIVERY
        )
    except OutfitErrors as error:
        if needed:
            raise
        say(f"No {reader} mailbox is read. Should the profile come to name one, start this anew:\n{error}")


def _readers(profile: Profile) -> set[Kind]:
    """The kinds of the mailboxes that smtp elements are read from."""
    elements = (element for _, element in profile.active() if isinstance(element, SmtpElement))
    return {reader.kind for element in elements if (reader := profile.reader_of(element)) is not None}


def _without_files() -> dict[str, str]:
    """Our environment without the files that are named there for this monitor alone."""
    ours = {variable for name in ("PropsFile", "RulesFile") for variable in PROPERTIES[name].variables}
    return {name: text for name, text in os.environ.items() if name not in ours}


def _variables(found: Mapping[str, Resolved]) -> Iterator[tuple[str, str]]:
    """The settings of workers and beat. One that is empty stands for its default, whatever we inherited."""
    for name, it in found.items():
        setting = PROPERTIES[name].setting
        if setting and setting not in _OF_SITE:
            value = "" if it.source is Source.DEFAULT else str(it.value)
            yield f"{settings.PREFIX}{setting.upper()}", value


def _say_what_is_used(found: Mapping[str, Resolved], folder: Path, what: str) -> None:
    say(what)
    say(f"  properties  {_shown(found, 'PropsFile', 'none but defaults, environment and options')}")
    say(f"  rules       {_shown(found, 'RulesFile', 'our own')}")
    say(f"  log         {_shown(found, 'MessageLog', 'here')}")
    is_on = bool(found["Datalog"].value)
    say(f"  datalog     {_shown(found, 'DatalogDir', '') if is_on else 'none'}")
    say(f"  Redis       {_shown(found, 'RedisUrl', f'a private one in {folder}')}")
    for name, it in found.items():
        if it.note and (it.source is not Source.DEFAULT or name in properties.PASSWORDS):
            say(f"{name}: {it.note}")


def _shown(found: Mapping[str, Resolved], name: str, default: str) -> str:
    it = found[name]
    if it.value == "":
        return default
    where = it.where or it.source
    return f"{shown(name, it.value)} ({where})"


@contextmanager
def mistakes_explained() -> Iterator[None]:
    """Turns what is wrong with the files of a monitor into messages."""
    try:
        yield
    except OutfitErrors as error:
        fail(str(error), WRONG)


@contextmanager
def heeded(signals: Signals) -> Iterator[list[int]]:
    """Has the signals that end a service, and SIGHUP, noted; another one of the former ends it at once.

    Gives the signals that came to end it.
    """
    ended_by: list[int] = []

    def end(number: int, frame: object) -> None:
        ended_by.append(number)
        signals.ending = True
        if len(ended_by) > 1:
            raise KeyboardInterrupt

    def reload(number: int, frame: object) -> None:
        signals.reloading = True

    handlers = {signal.SIGTERM: end, signal.SIGINT: end, signal.SIGHUP: reload}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield ended_by
    except KeyboardInterrupt:
        fail("Interrupted.", 128 + ended_by[-1])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
