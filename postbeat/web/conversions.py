"""From what the stores hold to what the API gives."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from postbeat.figures import TIMINGS
from postbeat.model import Level
from postbeat.plain import reason_as_data, seconds
from postbeat.rollup import Rollup, availability
from postbeat.slo import Slo
from postbeat.store.maintenance import AdHoc
from postbeat.store.summary import ElementFacts, PairSummary
from postbeat.store.view import MailboxState
from postbeat.web import models
from postbeat.web.charts import QUANTILES
from postbeat.web.rows import Row
from postbeat.web.site import RegionNow


def region_standing(pair: PairSummary) -> models.RegionStanding:
    """The short state of a pair."""
    return models.RegionStanding(
        pair.pair.region,
        pair.level,
        pair.confirmed,
        seconds(pair.since_us),
        seconds(pair.at_us),
        pair.why,
        pair.phase,
        pair.stage,
        pair.side,
        pair.code,
        pair.outcome,
        pair.failures,
        seconds(pair.failed_since_us),
        seconds(pair.response_us),
        seconds(pair.upload_us),
        seconds(pair.deliver_us),
        seconds(pair.total_us),
        seconds(pair.expires_at_us),
        pair.polls,
    )


def element_standing(row: Row) -> models.ElementStanding:
    """A row of the overview."""
    return models.ElementStanding(
        row.element,
        row.pairs[0].kind,
        row.group,
        row.facts.description if row.facts else "",
        row.verdict,
        seconds(row.since_us),
        row.in_maintenance,
        [region_standing(pair) for pair in row.pairs],
        {
            pair.pair.region: reason_as_data(reason)
            for pair in row.pairs
            if pair.confirmed is not Level.GOOD and (reason := row.reason(pair)) is not None
        },
    )


def element_public(facts: ElementFacts) -> models.ElementPublic:
    """What is public of an element."""
    return models.ElementPublic(
        facts.name,
        facts.type,
        facts.server,
        facts.port,
        facts.description,
        facts.group,
        list(facts.regions),
        facts.poll,
        facts.read,
        facts.email,
        facts.quorum,
        facts.confirmpolls,
        facts.availabilitytarget,
        [str(window) for window in facts.maintenance],
        list(facts.servicelevels),
        facts.active,
    )


def window(one: AdHoc) -> models.Window:
    """A window that was announced by hand."""
    return models.Window(one.id, one.element, one.region, one.from_us / 1e6, one.to_us / 1e6, one.why, one.by)


def objective(slo: Slo) -> models.Objective:
    """The objective in figures."""
    return models.Objective(
        slo.target, slo.polls, slo.failed, slo.availability, slo.budget_left, slo.burn_rate
    )


def period(at_us: int, rollup: Rollup) -> models.Period:
    """A stretch of time that began at a moment."""
    return models.Period(at_us / 1e6, rollup.counts, availability(rollup.counts), timings(rollup))


def timings(rollup: Rollup) -> dict[str, models.TimingFigures]:
    """The percentiles of what was measured."""
    return {
        name: models.TimingFigures(
            rollup.count(name),
            *(seconds(rollup.percentile(name, share)) for share in QUANTILES.values()),
        )
        for name in TIMINGS
        if rollup.count(name)
    }


def mailbox(state: MailboxState) -> dict[str, Any]:
    """A mailbox, by the names of ``postbeat mailboxes --json``."""
    return state.as_data() | {"totals": dict(state.totals)}


def region(one: RegionNow) -> models.RegionFigures:
    """A region as it is now."""
    workers = [asdict(worker) for worker in one.workers]
    return models.RegionFigures(one.name, workers, one.queued, one.queued_reads, one.facts.expired)
