"""Makes the metrics of what was read from Redis."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from postbeat.delivery import Outcome, Tally
from postbeat.metrics import names
from postbeat.metrics.families import Distribution, Exemplar, Families
from postbeat.metrics.objectives import Objective, window_name
from postbeat.model import Kind, Level, Pair, Phase
from postbeat.publicfacts import mailbox_digest
from postbeat.queues import probe, read
from postbeat.store.facts import BeatFacts, RegionFacts, Waits, WorkerFacts
from postbeat.store.measures import Measures, Message
from postbeat.store.summary import ElementFacts, ElementVerdict, PairSummary
from postbeat.store.view import MailboxState
from postbeat.verdict import Verdict

STAGES = {
    "lookupTime": "lookup",
    "connectTime": "connect",
    "SSLHandshakeTime": "tls",
    "loginTime": "login",
    "responseTime": "response",
    "uploadTime": "upload",
    "totalTime": "total",
    "timeToDeliver": "deliver",
}
CAUSES = ("send", "delivery", "mailbox", "monitor")
METHODS = ("spf", "dkim", "dmarc", "arc")

# What is there from the first moment on; other stages as soon as they were measured.
_ALWAYS = {
    Kind.SMTP: ("lookupTime", "connectTime", "responseTime", "uploadTime", "totalTime"),
    Kind.IMAP4: ("lookupTime", "connectTime", "loginTime", "totalTime"),
    Kind.POP3: ("lookupTime", "connectTime", "loginTime", "totalTime"),
}
_NOTHING = Waits()
# Of a mailbox that no message was sent to yet, and that was never checked.
_NO_MAIL = MailboxState("", element="", region="", pending=0, awaited=0, waiting=0, is_read=False)

# Labels are plain texts: the hash of an enumeration's member takes its time.
_LEVELS = tuple(level.value for level in Level)
_VERDICTS = tuple(verdict.value for verdict in Verdict)
_OUTCOMES = tuple(outcome.value for outcome in Outcome)
_TALLIES = tuple(tally.value for tally in Tally)


@dataclass(frozen=True, slots=True)
class Site:
    """All that is known of a site at one moment.

    ``silent`` is whether beat is not there, though it was; ``in_maintenance`` tells whether a pair is.
    """

    profile: Mapping[str, ElementFacts]
    verdicts: Mapping[str, ElementVerdict]
    pairs: Sequence[tuple[PairSummary, Measures]]
    mailboxes: Sequence[MailboxState]
    workers: Sequence[WorkerFacts]
    regions: Sequence[RegionFacts]
    queues: Mapping[str, int]
    beat: BeatFacts | None
    silent: bool
    in_maintenance: Callable[[Pair], bool]
    objectives: Mapping[str, Objective]


def collect(site: Site, version: str) -> Families:
    """All metrics but the duration of the scrape itself."""
    families = Families()
    families.put(names.BUILD, 1, version)
    for summary, measures in site.pairs:
        facts = site.profile.get(summary.pair.element)
        causes = _failing(summary, measures) | ({"monitor"} if site.silent else set())
        _pair(families, summary, measures, causes, reads=facts is None or bool(facts.read))
    _maintenance(families, site)
    _elements(families, site)
    _mailboxes(families, site)
    for region in site.regions:
        workers = [worker for worker in site.workers if worker.region == region.region]
        _region(families, region, workers, site.queues)
    _beat(families, site.beat)
    return families


def _pair(
    families: Families, summary: PairSummary, measures: Measures, causes: set[str], *, reads: bool
) -> None:
    pair = (summary.pair.element, summary.pair.region)
    families.put_states(names.LEVEL, _LEVELS, summary.level.value, *pair)
    for cause in CAUSES:
        families.put(names.FAILING, int(cause in causes), *pair, cause)
    families.put(names.FAILURES, summary.failures, *pair)
    families.put(names.SINCE, _seconds(summary.since_us or 0), *pair)
    families.put(names.LAST_RESULT, _seconds(summary.at_us or 0), *pair)
    families.put(names.CERTIFICATE, _seconds(summary.expires_at_us), *pair)
    for stage, took_us in (
        ("response", summary.response_us),
        ("upload", summary.upload_us),
        ("deliver", summary.deliver_us),
        ("total", summary.total_us),
    ):
        families.put(names.LAST_DURATION, _seconds(took_us), *pair, stage)
    reads = reads and summary.kind is Kind.SMTP
    _counts(families, summary.kind, measures, pair, reads=reads)
    _durations(families, summary.kind, measures, pair, reads=reads)
    if measures.message is not None:
        _message(families, measures.message, pair)


def _failing(summary: PairSummary, measures: Measures) -> set[str]:
    """The causes that the newest result of each phase tells, all at once where there are several."""
    failed = {phase for phase, level in measures.levels.items() if level is Level.FAILED}
    causes = set()
    if Phase.SEND in failed:
        causes.add("send")
    if Phase.READ in failed:
        causes.add("mailbox" if measures.outcome is Outcome.UNREADABLE else "delivery")
    if Phase.CHECK in failed:
        causes.add("mailbox")
    if summary.level is Level.UNKNOWN:
        causes.add("monitor")
    return causes


def _counts(
    families: Families, kind: Kind, measures: Measures, pair: tuple[str, str], *, reads: bool
) -> None:
    phases = ("send", "read", "after") if reads else ("send" if kind is Kind.SMTP else "check",)
    counts = measures.counts
    for phase in phases:
        for level in _LEVELS:
            families.put(names.RESULTS, counts.get(f"{phase}:{level}", 0), *pair, phase, level)
    families.put(names.POLLS, sum(counts.get(f"{phases[0]}:{level}", 0) for level in _LEVELS), *pair)
    if reads:
        for outcome in _OUTCOMES:
            families.put(names.OUTCOMES, counts.get(f"outcome:{outcome}", 0), *pair, outcome)


def _durations(
    families: Families, kind: Kind, measures: Measures, pair: tuple[str, str], *, reads: bool
) -> None:
    always = (*_ALWAYS[kind], "timeToDeliver") if reads else _ALWAYS[kind]
    exemplars: dict[str, list[Exemplar]] = {}
    for figures in measures.newest:
        poll, at_us = f"{measures.pair}#{figures.slot}", figures.at_us
        for timing, us in figures.times_us.items():
            exemplars.setdefault(timing, []).append(Exemplar(poll, us, at_us))
    for timing, stage in STAGES.items():
        waits = measures.timings.get(timing)
        if waits is not None or timing in always:
            newest = exemplars.get(timing, ())
            _put_waits(families, names.DURATION, waits or _NOTHING, *pair, stage, exemplars=newest)


def _message(families: Families, message: Message, pair: tuple[str, str]) -> None:
    families.put(names.HOPS, message.hop_count, *pair)
    for verdict in message.verdicts:
        if verdict.method in METHODS:
            families.put(names.MESSAGE_PASSED, int(verdict.result == "pass"), *pair, verdict.method)


def _maintenance(families: Families, site: Site) -> None:
    """That of all pairs, and of mailboxes: these may have no polls of their own."""
    polled = [summary.pair for summary, _ in site.pairs]
    mailboxes = [
        Pair(facts.name, region)
        for facts in site.profile.values()
        if facts.mailbox
        for region in facts.regions
    ]
    for pair in (*polled, *mailboxes):
        families.put(names.MAINTENANCE, int(site.in_maintenance(pair)), pair.element, pair.region)


def _elements(families: Families, site: Site) -> None:
    active = {facts.name for facts in site.profile.values() if facts.active and facts.poll is not None}
    for element in sorted(active | set(site.verdicts)):
        known = site.verdicts.get(element)
        verdict = known.verdict if known is not None else Verdict.UNKNOWN
        families.put_states(names.VERDICT, _VERDICTS, verdict.value, element)
        explained = known is not None and bool(known.regions) and known.is_covered(site.in_maintenance)
        families.put(names.VERDICT_MAINTENANCE, int(explained), element)
        facts = site.profile.get(element)
        if facts is not None:
            families.put(names.ELEMENT, 1, element, facts.type.value, facts.group)
            families.put(names.TARGET, round(facts.availabilitytarget / 100, 9), element)
        objective = site.objectives.get(element)
        if objective is not None:
            families.put(names.AVAILABILITY, objective.month.availability, element)
            families.put(names.BUDGET, objective.month.budget_left, element)
            for window_s, slo in objective.windows.items():
                families.put(names.BURN, slo.burn_rate, element, window_name(window_s))
                families.put(names.BURNT, slo.failed, element, window_name(window_s))


def _mailboxes(families: Families, site: Site) -> None:
    """Those of the profile's elements; a mailbox that an element had before has no series."""
    known = {mailbox_digest(state.mailbox): state for state in site.mailboxes}
    for facts in site.profile.values():
        if facts.mailbox:
            _mailbox(families, known.get(facts.mailbox, _NO_MAIL), facts.name)


def _mailbox(families: Families, mailbox: MailboxState, element: str) -> None:
    if mailbox.facts is not None:
        families.put(names.MAILBOX_MESSAGES, mailbox.facts.messages, element)
        families.put(names.MAILBOX_SIZE, mailbox.facts.size_bytes, element)
        families.put(names.MAILBOX_USED, mailbox.facts.quota_used_bytes, element)
        families.put(names.MAILBOX_LIMIT, mailbox.facts.quota_limit_bytes, element)
    families.put(names.MAILBOX_PENDING, mailbox.pending, element)
    families.put(names.MAILBOX_AWAITED, mailbox.awaited, element)
    families.put(names.MAILBOX_WAITING, mailbox.waiting, element)
    families.put(names.MAILBOX_READERS, int(mailbox.is_read), element)
    families.put(names.MAILBOX_LOOKED, _seconds(mailbox.looked_at_us or 0), element)
    for tally in _TALLIES:
        families.put(names.MAILBOX_EVENTS, mailbox.totals.get(tally, 0), element, tally)


def _region(
    families: Families, facts: RegionFacts, workers: Sequence[WorkerFacts], queues: Mapping[str, int]
) -> None:
    region = facts.region
    families.put(names.WORKERS, len(workers), region)
    families.put(names.IN_FLIGHT, sum(worker.in_flight for worker in workers), region)
    worst_us = max((worker.clock_uncertainty_us for worker in workers), default=None)
    families.put(names.CLOCK, _seconds(worst_us), region)
    families.put(names.EXPIRED, facts.expired, region)
    families.put(names.QUEUE, queues.get(probe(region), 0), region, "probe")
    families.put(names.QUEUE, queues.get(read(region), 0), region, "read")
    _put_waits(families, names.WAIT, facts.wait, region)
    _put_waits(families, names.LAG, facts.lag, region)


def _beat(families: Families, facts: BeatFacts | None) -> None:
    if facts is None:
        facts = BeatFacts(0, 0, 0, 0, Waits(), reload_ok=False, reload_at_us=0, reload_error="", profile="")
    families.put(names.BEAT_PAIRS, facts.pairs)
    families.put(names.BEAT_TICK, _seconds(facts.at_us))
    families.put(names.BEAT_PUBLISHED, facts.published)
    families.put(names.BEAT_MISSED, facts.missed)
    families.put(names.RELOAD_OK, int(facts.reload_ok))
    families.put(names.RELOAD_AT, _seconds(facts.reload_at_us))
    _put_waits(families, names.BEAT_LATENESS, facts.lateness)


def _put_waits(
    families: Families,
    metric: names.Metric,
    waits: Waits,
    *labels: str,
    exemplars: Sequence[Exemplar] = (),
) -> None:
    families.put_distribution(metric, Distribution(waits.counts, waits.sum_us, exemplars), *labels)


def _seconds(us: int | None) -> float | None:
    return None if us is None else us / 1e6
