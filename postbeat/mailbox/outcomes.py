"""What happened to a message, from what was seen of it: its outcome, its level, its figures. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from postbeat.delivery import Bounce, Delivery, Outcome
from postbeat.elements import Imap4Element, MailboxElement
from postbeat.grade import worst
from postbeat.mailbox.sightings import Details, Sighting
from postbeat.model import Fault, FaultCode, Level, Side
from postbeat.store.records import Pending

DELIVERED = "Message Successfully Downloaded"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is said of a message, and how bad it is. ``warnings`` are what is wrong with a delivered one."""

    outcome: Outcome
    level: Level
    text: str
    fault: Fault | None = None
    delivery: Delivery | None = None
    bounce: Bounce | None = None


def found(
    element: MailboxElement,
    expected: Pending,
    copies: Sequence[Sighting],
    details: Details,
    *,
    out_of_order: bool,
    uncertainty_us: int,
) -> Judgement:
    """A message that was found, its first copy first, before or after it was given up.

    ``uncertainty_us`` is that of the reader's clock.
    """
    delivery = _delivery(expected, copies, details, out_of_order, expected.uncertainty_us + uncertainty_us)
    late = is_late(expected, delivery)
    wrongs = _wrongs(element, delivery, spam=copies[0].spam)
    if late:
        took_s = delivery.to_deliver_us / 1e6
        wrongs.insert(0, (Outcome.LATE, Level.FAILED, f"the message arrived late, after {took_s:.0f} s"))
    if not wrongs:
        outcome = Outcome.OUT_OF_ORDER if out_of_order else Outcome.DELIVERED
        text = f"{DELIVERED}; a later one came before it" if out_of_order else DELIVERED
        return Judgement(outcome, Level.GOOD, text, delivery=delivery)
    level = worst(level for _, level, _ in wrongs)
    said = "; ".join(text for _, _, text in wrongs)
    if level is Level.FAILED:
        bad, text = next((outcome, text) for outcome, level, text in wrongs if level is Level.FAILED)
        fault = Fault(Side.REMOTE, _CODES[bad], text, "find")
        return Judgement(wrongs[0][0], level, said[:1].upper() + said[1:], fault, delivery)
    return Judgement(wrongs[0][0], level, f"{DELIVERED}; {said}", delivery=delivery)


_CODES = {
    Outcome.LATE: FaultCode.NOT_ARRIVED,
    Outcome.SPAM: FaultCode.SPAM,
    Outcome.ALTERED: FaultCode.ALTERED,
    Outcome.DUPLICATED: FaultCode.DUPLICATED,
}


def found_after(judgement: Judgement) -> Judgement:
    """The same, said of a message that had been given up before: that it came at all is MARGINAL."""
    if judgement.outcome is not Outcome.LATE:
        return judgement
    return Judgement(
        Outcome.LATE, Level.MARGINAL, f"{judgement.text}; it was given up before", None, judgement.delivery
    )


def is_late(expected: Pending, delivery: Delivery) -> bool:
    """Whether the message was certainly not there when its time was over."""
    allowed_us = expected.expires_at_us - expected.accepted_at_us
    return delivery.to_deliver_us - delivery.resolution_us > allowed_us


def overdue(expected: Pending, delayed: Bounce | None) -> Judgement:
    """A message that was not there in time; ``delayed`` is what a notice said of it meanwhile."""
    allowed_s = (expected.expires_at_us - expected.accepted_at_us) / 1e6
    text = f"the message did not arrive within {allowed_s:g} s"
    if delayed is not None:
        text += f"; a notice says that it is delayed: {_said(delayed)}"
    return _failed(Outcome.OVERDUE, FaultCode.NOT_ARRIVED, text, delayed)


def lost(expected: Pending) -> Judgement:
    """A message that was not there at the end of the long wait."""
    allowed_s = (expected.lost_at_us - expected.accepted_at_us) / 1e6
    return _failed(
        Outcome.LOST, FaultCode.NOT_ARRIVED, f"the message is lost: it did not arrive within {allowed_s:g} s"
    )


def bounced(bounce: Bounce) -> Judgement:
    """A message that will not arrive."""
    return _failed(Outcome.BOUNCED, FaultCode.BOUNCED, f"the message bounced: {_said(bounce)}", bounce)


def duplicated(element: MailboxElement) -> Judgement:
    """One more copy of a message that was found before."""
    return Judgement(Outcome.DUPLICATED, element.duplicatelevel, "The message arrived once more")


def _failed(outcome: Outcome, code: FaultCode, text: str, bounce: Bounce | None = None) -> Judgement:
    fault = Fault(Side.REMOTE, code, text, "find")
    return Judgement(outcome, Level.FAILED, text[:1].upper() + text[1:], fault, bounce=bounce)


def _said(bounce: Bounce) -> str:
    """The status and the words of a notice; remote hosts often begin their words with the status."""
    status = "" if bounce.status and bounce.status in bounce.text else bounce.status
    return " ".join(part for part in (status, bounce.text) if part) or bounce.action


def _delivery(
    expected: Pending, copies: Sequence[Sighting], details: Details, out_of_order: bool, uncertainty_us: int
) -> Delivery:
    first = copies[0]
    unseen_us = first.seen_at_us - max(first.looked_before_us, expected.accepted_at_us)
    path = details.path
    return Delivery(
        to_deliver_us=max(0, first.seen_at_us - expected.accepted_at_us),
        resolution_us=max(0, unseen_us),
        hop_count=path.hop_count,
        uncertainty_us=uncertainty_us,
        pushed=first.pushed,
        folder=first.place.folder,
        copies=len(copies),
        out_of_order=out_of_order,
        altered=details.altered,
        hops=path.hops,
        verdicts=details.verdicts,
        server_skew_us=path.server_skew_us,
        server_skew_uncertainty_us=path.server_skew_uncertainty_us,
    )


def _wrongs(element: MailboxElement, delivery: Delivery, *, spam: bool) -> list[tuple[Outcome, Level, str]]:
    """What is wrong with a delivered message, the gravest kind first; what the element calls GOOD is not."""
    wrongs = []
    if spam and isinstance(element, Imap4Element):
        text = f"it lies in the spam folder {delivery.folder}"
        wrongs.append((Outcome.SPAM, element.spamlevel, text))
    if delivery.altered:
        wrongs.append((Outcome.ALTERED, element.alteredlevel, "; ".join(delivery.altered)))
    if delivery.copies > 1:
        text = f"it arrived {delivery.copies} times"
        wrongs.append((Outcome.DUPLICATED, element.duplicatelevel, text))
    return wrongs
