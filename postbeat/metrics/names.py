"""Every metric: its name, type, labels and meaning. Pure. ``docs/metrics.md`` is made from this."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Type(StrEnum):
    """The type of a metric, by the exposition formats' own word."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric; the name of a counter ends with ``_total``."""

    name: str
    type: Type
    labels: tuple[str, ...]
    help: str

    @property
    def unit(self) -> str:
        """The base unit, which the name ends with, or "" for a plain number."""
        last = self.name.removesuffix("_total").rpartition("_")[2]
        return last if last in ("seconds", "bytes", "ratio") else ""


def _gauge(name: str, labels: str, text: str) -> Metric:
    return Metric(f"postbeat_{name}", Type.GAUGE, tuple(labels.split()), text)


def _counter(name: str, labels: str, text: str) -> Metric:
    return Metric(f"postbeat_{name}_total", Type.COUNTER, tuple(labels.split()), text)


def _histogram(name: str, labels: str, text: str) -> Metric:
    return Metric(f"postbeat_{name}", Type.HISTOGRAM, tuple(labels.split()), text)


# Of elements, over all their regions.
VERDICT = _gauge("verdict", "element verdict", "Whether this is the verdict on the element (0 or 1).")
VERDICT_MAINTENANCE = _gauge(
    "verdict_maintenance",
    "element",
    "Whether maintenance covers each region that is FAILED or MARGINAL, or all where none is (0 or 1).",
)
ELEMENT = _gauge("element_info", "element type group", "An element of the profile; always 1.")
TARGET = _gauge("availability_target_ratio", "element", "Availability that the element should have.")
AVAILABILITY = _gauge(
    "availability_ratio",
    "element",
    "Availability over 30 days; UNKNOWN polls and maintenance do not count. Absent while no poll does.",
)
BUDGET = _gauge(
    "error_budget_remaining_ratio",
    "element",
    "Part of the error budget of 30 days that is left: 1 is all of it, below 0 it is overspent.",
)
BURN = _gauge(
    "error_budget_burn_rate",
    "element window",
    "How many times faster than the target allows polls failed in the window, which is never narrower than "
    "three polls; absent while no poll counts.",
)
BURNT = _gauge("error_budget_failed_polls", "element window", "Polls that failed in the same window.")

# Of pairs of element and region.
LEVEL = _gauge("level", "element region level", "Whether this is the level of the pair (0 or 1).")
FAILING = _gauge(
    "failing",
    "element region cause",
    "Whether sending, delivery or the mailbox fails, or the monitor itself has no news or no beat (0 or 1).",
)
MAINTENANCE = _gauge(
    "maintenance", "element region", "Whether the element is in maintenance in the region (0 or 1)."
)
FAILURES = _gauge("consecutive_failures", "element region", "Failed polls in a row; 0 while it works.")
SINCE = _gauge(
    "level_since_timestamp_seconds",
    "element region",
    "Since when the level is what it is; 0 for never polled.",
)
LAST_RESULT = _gauge(
    "last_result_timestamp_seconds", "element region", "When the last result was taken; 0 for never."
)
LAST_DURATION = _gauge(
    "last_duration_seconds",
    "element region stage",
    "The stage's duration in the newest send or check, and for deliver in the newest read; absent where that "
    "has none, as when it failed.",
)
CERTIFICATE = _gauge(
    "certificate_expiry_timestamp_seconds",
    "element region",
    "When the first certificate of the server and of the mailbox's server expires, by the chains seen last; "
    "absent while none was seen.",
)
HOPS = _gauge(
    "hops", "element region", "Hosts on the way of the newest message; absent while none was found."
)
MESSAGE_PASSED = _gauge(
    "message_passed",
    "element region method",
    "Whether the newest message passed spf, dkim, dmarc or arc (0 or 1); absent where nobody says.",
)
RESULTS = _counter(
    "phase_results", "element region phase level", "Results of sends, reads, what came after, and checks."
)
POLLS = _counter("polls", "element region", "Polls with a result, missing ones that were noticed included.")
OUTCOMES = _counter(
    "messages",
    "element region outcome",
    "Messages by what became of them; late, lost and duplicated count once more.",
)
DURATION = _histogram(
    "stage_duration_seconds",
    "element region stage",
    "Durations of stages of results without fault; deliver is the time from acceptance to the mailbox.",
)

# Of mailboxes; all elements of a mailbox have the same values.
MAILBOX_MESSAGES = _gauge("mailbox_messages", "element", "Messages in the folders that are searched.")
MAILBOX_SIZE = _gauge("mailbox_size_bytes", "element", "Size of the mailbox; absent where not told.")
MAILBOX_USED = _gauge(
    "mailbox_quota_used_bytes", "element", "Used storage by the quota; absent where not told."
)
MAILBOX_LIMIT = _gauge(
    "mailbox_quota_limit_bytes", "element", "Storage limit by the quota; absent where not told."
)
MAILBOX_PENDING = _gauge("mailbox_pending_messages", "element", "Messages that should turn up.")
MAILBOX_AWAITED = _gauge("mailbox_awaited_messages", "element", "Overdue messages that may still turn up.")
MAILBOX_WAITING = _gauge("mailbox_waiting_checks", "element", "Checks that wait for their turn.")
MAILBOX_READERS = _gauge("mailbox_readers", "element", "Readers in the mailbox now (0 or 1).")
MAILBOX_LOOKED = _gauge(
    "mailbox_last_look_timestamp_seconds", "element", "When it was last looked into; 0 for never."
)
MAILBOX_EVENTS = _counter("mailbox_events", "element event", "What readers met in the mailbox.")

# Of regions: the workers.
WORKERS = _gauge("workers", "region", "Workers that are there.")
IN_FLIGHT = _gauge("tasks_in_flight", "region", "Tasks under way in all workers, readers included.")
CLOCK = _gauge(
    "clock_uncertainty_seconds",
    "region",
    "How far the clock of the worst worker may be off; absent without any.",
)
EXPIRED = _counter("expired_polls", "region", "Polls that waited in the queue until the next was due.")
QUEUE = _gauge(
    "queue_length", "region queue", "Messages in the queue (probe or read) that no worker has taken."
)
WAIT = _histogram("queue_wait_seconds", "region", "Time from when a poll was due until a worker began it.")
LAG = _histogram("loop_lag_seconds", "region", "Worst lag of the event loop, of each 5 s of each worker.")

# Of beat.
BEAT_PAIRS = _gauge("beat_pairs", "", "Pairs of element and region that are polled.")
BEAT_TICK = _gauge("beat_last_tick_timestamp_seconds", "", "When beat was last seen at work; 0 for never.")
BEAT_PUBLISHED = _counter("beat_published_polls", "", "Polls that were fired.")
BEAT_MISSED = _counter("beat_missed_polls", "", "Polls that fell due and were not fired.")
BEAT_LATENESS = _histogram("beat_lateness_seconds", "", "Time from when a poll was due until it was fired.")
RELOAD_OK = _gauge(
    "profile_last_reload_successful", "", "Whether the profile found last is in force (0 or 1)."
)
RELOAD_AT = _gauge("profile_last_reload_timestamp_seconds", "", "When a profile was last found; 0 for never.")

# Of this exposition.
BUILD = _gauge("build_info", "version", "The version of Postbeat that serves the metrics; always 1.")
SCRAPE = _gauge("scrape_duration_seconds", "", "Time that it took to collect these metrics.")

METRICS: tuple[Metric, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
