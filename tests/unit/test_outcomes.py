"""What is said of a message, from what was seen of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbeat.arrival.hops import Path
from postbeat.delivery import Bounce, Outcome
from postbeat.elements import Imap4Element, Pop3Element
from postbeat.mailbox import outcomes
from postbeat.mailbox.outcomes import Judgement
from postbeat.mailbox.sightings import NO_DETAILS, Details, Sighting
from postbeat.message import Token
from postbeat.model import FaultCode, Level, Poll
from postbeat.probes.session import Place
from postbeat.store.records import Pending

POLL = Poll("mail", "north", 7)
SECOND = 1_000_000
ACCEPTED = 1_700_000_000 * SECOND
MAILBOX = Imap4Element(name="box", server="mail.example")
EXPECTED = Pending(
    POLL,
    1,
    accepted_at_us=ACCEPTED,
    expires_at_us=ACCEPTED + 60 * SECOND,
    lost_at_us=ACCEPTED + 600 * SECOND,
    uncertainty_us=300,
)
ALTERED = Details(Path(), altered=("a text of 40 bytes was appended",))


def seen(after_s: float, *, before_s: float = 0.0, spam: bool = False, uid: str = "1") -> Sighting:
    """Seen so long after it was accepted; the look before began ``before_s`` after that."""
    return Sighting(
        place=Place("Junk" if spam else "INBOX", uid),
        token=Token(POLL, 1, ACCEPTED - SECOND),
        original=True,
        seen_at_us=ACCEPTED + round(after_s * SECOND),
        looked_before_us=ACCEPTED + round(before_s * SECOND),
        spam=spam,
    )


def judged(
    *copies: Sighting,
    element: Imap4Element | Pop3Element = MAILBOX,
    details: Details = NO_DETAILS,
    out_of_order: bool = False,
) -> Judgement:
    return outcomes.found(element, EXPECTED, copies, details, out_of_order=out_of_order, uncertainty_us=200)


def test_a_message_in_its_folder_is_delivered_and_good() -> None:
    said = judged(seen(2.5, before_s=2.46))
    assert (said.outcome, said.level, said.fault) == (Outcome.DELIVERED, Level.GOOD, None)
    assert said.text == "Message Successfully Downloaded"
    assert said.delivery is not None
    assert said.delivery.to_deliver_us == 2_500_000
    assert said.delivery.resolution_us == 40_000
    assert said.delivery.uncertainty_us == 500


@given(st.floats(0, 500), st.floats(0, 500))
def test_the_true_delivery_lies_within_what_is_stated(arrives_s: float, looks_before_s: float) -> None:
    said = judged(seen(max(arrives_s, looks_before_s), before_s=min(arrives_s, looks_before_s)))
    assert said.delivery is not None
    low_us = said.delivery.to_deliver_us - said.delivery.resolution_us
    assert low_us <= round(arrives_s * SECOND) <= said.delivery.to_deliver_us


def test_a_message_seen_after_its_time_is_late_only_where_it_cannot_have_come_in_time() -> None:
    assert judged(seen(61, before_s=59)).outcome is Outcome.DELIVERED
    late = judged(seen(75, before_s=60.5))
    assert (late.outcome, late.level) == (Outcome.LATE, Level.FAILED)
    assert late.text == "The message arrived late, after 75 s"
    assert late.fault is not None
    assert late.fault.code is FaultCode.NOT_ARRIVED


def test_a_message_that_comes_after_it_was_given_up_is_marginal() -> None:
    late = outcomes.found_after(judged(seen(75, before_s=70)))
    assert (late.outcome, late.level, late.fault) == (Outcome.LATE, Level.MARGINAL, None)
    assert late.delivery is not None


def test_the_spam_folder_makes_marginal_and_is_named() -> None:
    said = judged(seen(1, spam=True))
    assert (said.outcome, said.level) == (Outcome.SPAM, Level.MARGINAL)
    assert said.text == "Message Successfully Downloaded; it lies in the spam folder Junk"


@pytest.mark.parametrize(
    ("field", "copies", "details", "outcome", "code"),
    [
        ("spamlevel", (seen(1, spam=True),), NO_DETAILS, Outcome.SPAM, FaultCode.SPAM),
        ("alteredlevel", (seen(1),), ALTERED, Outcome.ALTERED, FaultCode.ALTERED),
        ("duplicatelevel", (seen(1), seen(1, uid="2")), NO_DETAILS, Outcome.DUPLICATED, FaultCode.DUPLICATED),
    ],
)
@pytest.mark.parametrize("level", [Level.GOOD, Level.MARGINAL, Level.FAILED])
def test_an_element_says_how_bad_each_outcome_is(
    field: str,
    copies: tuple[Sighting, ...],
    details: Details,
    outcome: Outcome,
    code: FaultCode,
    level: Level,
) -> None:
    element = replace(MAILBOX, **{field: level})  # type: ignore[arg-type]
    said = judged(*copies, element=element, details=details)
    assert (said.outcome, said.level) == (outcome, level)
    assert (said.fault.code if said.fault else None) == (code if level is Level.FAILED else None)


def test_the_worst_of_several_findings_counts_and_all_are_said() -> None:
    element = replace(MAILBOX, spamlevel=Level.GOOD, alteredlevel=Level.FAILED)
    said = judged(seen(1, spam=True), seen(1, spam=True, uid="2"), element=element, details=ALTERED)
    assert (said.outcome, said.level) == (Outcome.SPAM, Level.FAILED)
    assert "spam folder Junk" in said.text
    assert "40 bytes was appended" in said.text
    assert "2 times" in said.text


def test_a_message_that_was_overtaken_is_good_and_out_of_order() -> None:
    said = judged(seen(1), out_of_order=True)
    assert (said.outcome, said.level) == (Outcome.OUT_OF_ORDER, Level.GOOD)
    assert said.delivery is not None
    assert said.delivery.out_of_order


def test_what_is_overdue_lost_or_bounced_has_failed_with_its_own_words() -> None:
    delayed = Bounce("delayed", "4.4.1", "connection timed out")
    assert outcomes.overdue(EXPECTED, None).text == "The message did not arrive within 60 s"
    assert outcomes.overdue(EXPECTED, delayed).text.endswith(
        "a notice says that it is delayed: 4.4.1 connection timed out"
    )
    assert outcomes.lost(EXPECTED).text == "The message is lost: it did not arrive within 600 s"
    bounced = outcomes.bounced(Bounce("failed", "5.1.1", "550 5.1.1 no such user"))
    assert bounced.text == "The message bounced: 550 5.1.1 no such user"
    assert bounced.fault is not None
    assert bounced.fault.code is FaultCode.BOUNCED
    assert {said.level for said in (outcomes.lost(EXPECTED), bounced)} == {Level.FAILED}
