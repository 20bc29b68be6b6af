from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbeat.classification import OPERANDS, Classification, OperandKind
from postbeat.delivery import MailboxFacts, Outcome, Verdict
from postbeat.elements import SmtpElement
from postbeat.model import (
    AuthenticationType,
    Fault,
    FaultCode,
    Kind,
    Level,
    Phase,
    Poll,
    SecurityType,
    Side,
)
from postbeat.plain import METHODS, common_as_data
from postbeat.results import Attempt, Result, Service, TlsFacts
from postbeat.servicelevels import (
    Judge,
    Standing,
    asks_for_history,
    for_reads,
    graded,
    level_of,
    of_text,
    service_of,
)
from postbeat.store.records import Pending, pending_of
from tests.unit.some_results import CHECK, DELIVERY, OVERDUE, READ

AT_US = 1_700_000_000_000_000
DAY_US = 86_400_000_000
TIMES = {
    "lookupTime": 1_000,
    "connectTime": 20_000,
    "SSLHandshakeTime": 30_000,
    "responseTime": 2_310_412,
    "uploadTime": 500_000,
}
SENT = Result(
    Poll("mail", "eu", 7),
    Phase.SEND,
    Kind.SMTP,
    Level.GOOD,
    "Message sent",
    AT_US,
    (
        Attempt(
            1,
            AT_US,
            3_000_000,
            times_us=TIMES,
            bytes_transferred=1000,
            status=250,
            reply="250 2.0.0 Queued as 17",
            tls=TlsFacts("TLSv1.2", "ECDHE", False, expires_at_us=AT_US + 20 * DAY_US + 5),
        ),
    ),
    worker="probe-1.example.com/77",
    service=Service(
        587, SecurityType.STARTTLS, AuthenticationType.PLAIN, "probe", "p@example.com", "mx.example.com"
    ),
)
REFUSED = replace(
    SENT,
    level=Level.FAILED,
    message="The server says 550 5.7.1 go away",
    attempts=(replace(SENT.attempts[0], status=550, reply="550 5.7.1 go away", tls=None),),
    fault=Fault(Side.REMOTE, FaultCode.REPLY, "the server says 550 5.7.1 go away", "rcpt"),
)
HUNG = replace(
    SENT,
    level=Level.FAILED,
    message="No answer within 30 s in stage rcpt",
    fault=Fault(Side.REMOTE, FaultCode.TIMEOUT, "no answer within 30 s in stage rcpt", "rcpt"),
)
OURS = replace(HUNG, level=Level.UNKNOWN, fault=Fault(Side.LOCAL, FaultCode.OVERLOADED, "we stood still"))
LATE = replace(
    READ,
    level=Level.FAILED,
    outcome=Outcome.LATE,
    fault=Fault(Side.REMOTE, FaultCode.NOT_ARRIVED, "the message arrived late, after 2 s", "find"),
)
SPAM = replace(READ, level=Level.MARGINAL, outcome=Outcome.SPAM)


def rules(*texts: str) -> tuple[Classification, ...]:
    return tuple(map(Classification.parse, texts))


@pytest.mark.parametrize(
    ("result", "texts", "level", "reason"),
    [
        (SENT, [], Level.GOOD, ""),
        (SENT, ["responseTime > 3 -> FAILED"], Level.GOOD, ""),
        (SENT, ["responseTime > 2 -> MARGINAL"], Level.MARGINAL, "responseTime 2.31 > 2"),
        (SENT, ["responseTime > 2.31 -> FAILED"], Level.FAILED, "responseTime 2.310412 > 2.31"),
        (SENT, ["responseTime > 3 -> FAILED", "responseTime > 2 -> MARGINAL"], Level.MARGINAL, None),
        (SENT, ["responseTime > 2 -> MARGINAL", "responseTime > 1 -> FAILED"], Level.MARGINAL, None),
        (SENT, ["responseTime > 2 and uploadTime > 1 -> FAILED"], Level.GOOD, ""),
        (
            SENT,
            ["responseTime > 2 and status = 250 -> FAILED"],
            Level.FAILED,
            "responseTime 2.31 > 2 and status = 250",
        ),
        (SENT, ["status != 250 -> FAILED"], Level.GOOD, ""),
        (SENT, ["status = 250 -> GOOD"], Level.GOOD, "status = 250"),
        (SENT, ["bytesPerSec < 5000 -> MARGINAL"], Level.MARGINAL, "bytesPerSec 2000 < 5000"),
        (SENT, ["certificateDays < 21 -> MARGINAL"], Level.MARGINAL, "certificateDays 20 < 21"),
        (SENT, ["tlsVersion != TLSv1.3 -> MARGINAL"], Level.MARGINAL, "tlsVersion TLSv1.2 != TLSv1.3"),
        (SENT, ["verified = false -> FAILED"], Level.FAILED, "verified = false"),
        (SENT, ["reply !contains Queued -> MARGINAL"], Level.GOOD, ""),
        (SENT, ['reply contains "queued as" -> FAILED'], Level.FAILED, 'reply contains "queued as"'),
        (SENT, ["loginTime < 5 -> GOOD"], Level.GOOD, ""),  # what is not measured decides nothing
        (replace(SENT, level=Level.MARGINAL), ["status = 250 -> GOOD"], Level.GOOD, "status = 250"),
        # A test that failed by the service's fault: only a rule that names how it failed speaks of it.
        (REFUSED, ["responseTime < 5 -> GOOD"], Level.FAILED, ""),
        (REFUSED, ["status = 550 -> GOOD"], Level.GOOD, "status = 550"),
        (REFUSED, ["enhanced = 5.7.1 -> MARGINAL"], Level.MARGINAL, "enhanced = 5.7.1"),
        (REFUSED, ["status = 550 and responseTime < 5 -> GOOD"], Level.GOOD, None),
        (REFUSED, ["status = 550 and responseTime < 1 -> GOOD"], Level.FAILED, ""),
        (REFUSED, ['message contains "go away" -> GOOD'], Level.GOOD, 'message contains "go away"'),
        (REFUSED, ["certificateDays !=  3 -> GOOD"], Level.FAILED, ""),
        (HUNG, ["status = 250 -> GOOD"], Level.FAILED, ""),  # an earlier stage's, which refused nothing
        (HUNG, ["reply contains 2.0.0 -> GOOD"], Level.FAILED, ""),
        (HUNG, ["fault = timeout and stage = rcpt -> MARGINAL"], Level.MARGINAL, None),
        (HUNG, ["fault = refused -> MARGINAL"], Level.FAILED, ""),
        (HUNG, ["side = REMOTE -> MARGINAL"], Level.MARGINAL, "side = REMOTE"),
        # What is a fault of ours tells nothing of the service.
        (OURS, ["fault = overloaded -> GOOD", "message contains o -> FAILED"], Level.UNKNOWN, ""),
        # What becomes of a message.
        (READ, ["timeToDeliver > 1 -> FAILED"], Level.FAILED, "timeToDeliver 1.5 > 1"),
        (READ, ["timeToDeliver > 1.5 -> FAILED"], Level.GOOD, ""),
        (READ, ["hopCount >= 3 -> MARGINAL"], Level.MARGINAL, "hopCount 3 >= 3"),
        (READ, ["dkim != pass -> FAILED"], Level.FAILED, "dkim fail != pass"),
        (READ, ["dmarc != pass -> FAILED"], Level.GOOD, ""),  # no verdict is not a bad one
        (READ, ["pushed = true -> MARGINAL"], Level.MARGINAL, "pushed = true"),
        (READ, ["totalTime >= 0 -> FAILED"], Level.GOOD, ""),  # that of the look says nothing of the message
        (READ, ["responseTime >= 0 -> FAILED"], Level.GOOD, ""),
        (SPAM, ["outcome = spam -> GOOD"], Level.GOOD, "outcome = spam"),
        (LATE, ["timeToDeliver > 1 -> MARGINAL"], Level.FAILED, ""),
        (LATE, ["outcome = late and timeToDeliver < 2 -> MARGINAL"], Level.MARGINAL, None),
        (OVERDUE, ["timeToDeliver > 1 -> GOOD"], Level.FAILED, ""),
        # The check of a mailbox.
        (CHECK, ["loginTime > 0.01 -> MARGINAL"], Level.MARGINAL, "loginTime 0.03 > 0.01"),
        (CHECK, ["messages > 10 -> MARGINAL"], Level.MARGINAL, "messages 12 > 10"),
        (CHECK, ["quotaUsed > 1e6 -> FAILED"], Level.GOOD, ""),
        (CHECK, ["totalTime > 0.2 -> FAILED"], Level.FAILED, "totalTime 0.25 > 0.2"),
    ],
)
def test_the_first_rule_that_fits_decides(
    result: Result, texts: list[str], level: Level, reason: str | None
) -> None:
    grade = level_of(rules(*texts), result)
    assert grade.level is level
    assert (grade.rule is None) is (reason == "")
    if reason is not None:
        assert grade.reason == reason


FULL: dict[Phase, Result] = {
    Phase.SEND: replace(
        REFUSED,
        attempts=(replace(REFUSED.attempts[0], tls=SENT.attempts[0].tls),),
        service=replace(SENT.service, description="Mail") if SENT.service else None,
    ),
    Phase.READ: replace(
        LATE,
        delivery=replace(
            DELIVERY,
            altered=("the subject was changed",),
            verdicts=tuple(Verdict(method, "pass", "mx") for method in METHODS),
        ),
    ),
    Phase.CHECK: replace(
        CHECK,
        fault=REFUSED.fault,
        attempts=(replace(SENT.attempts[0], times_us=TIMES | {"loginTime": 5}),),
        service=replace(CHECK.service, host="h", description="Box") if CHECK.service else None,
        mailbox=MailboxFacts(1, 2, 3, 4),
    ),
}
FULL[Phase.AFTER] = replace(FULL[Phase.READ], phase=Phase.AFTER)


@pytest.mark.parametrize("phase", Phase)
def test_every_operand_is_measured_in_exactly_the_results_that_are_said_to_have_it(phase: Phase) -> None:
    """That an operand is not what it cannot be holds wherever it is measured."""
    for name, operand in OPERANDS.items():
        never: Any = 1e14 if operand.kind is OperandKind.NUMBER else '"no such thing"'
        sign = "!=" if operand.kind is OperandKind.NUMBER else "!contains"
        (rule,) = rules(f"side = REMOTE and {name} {sign} {never} -> GOOD")
        grade = level_of((rule,), FULL[phase], Standing(Level.GOOD, AT_US), 1, 1)
        assert (grade.rule is rule) is (phase in operand.phases), name


@given(st.sampled_from(Level), st.sampled_from([SENT, REFUSED, HUNG, READ, SPAM, OVERDUE, CHECK]))
def test_without_a_rule_that_fits_the_built_in_level_stays(level: Level, result: Result) -> None:
    base = replace(result, level=level)
    for given_rules in ((), rules("message = never -> GOOD")):
        assert level_of(given_rules, base).level is level
        assert graded(given_rules, base) is base


FIGURES = [
    "responseTime < 9 -> GOOD",
    "attempts = 1 -> GOOD",
    "timeToDeliver >= 0 -> GOOD",
    "host != x -> GOOD",
]
FAILURES = [
    "side = REMOTE -> GOOD",
    "message contains e -> GOOD",
    "stage != lookup -> GOOD",
    "status >= 0 -> GOOD",
]


@given(
    st.lists(st.sampled_from([*FIGURES, *FAILURES])),
    st.sampled_from(FaultCode),
    st.sampled_from([SENT, READ]),
)
def test_no_rule_makes_anything_of_a_fault_of_ours(texts: list[str], code: FaultCode, result: Result) -> None:
    ours = replace(result, level=Level.UNKNOWN, fault=Fault(Side.LOCAL, code, "ours", "rcpt"))
    assert judged([ours], 3, *texts).level is Level.UNKNOWN
    assert graded(rules(*texts), ours).level is Level.UNKNOWN


@given(st.lists(st.sampled_from(FIGURES), min_size=1), st.sampled_from([REFUSED, HUNG, LATE, OVERDUE]))
def test_no_rule_on_figures_alone_hides_a_failure(texts: list[str], result: Result) -> None:
    failed = replace(result, fault=result.fault or Fault(Side.REMOTE, FaultCode.NOT_ARRIVED, "late", "find"))
    assert judged([failed], 3, *texts).level is Level.FAILED
    assert judged([failed], 3, *texts, "side = REMOTE -> MARGINAL").level is Level.MARGINAL


@given(st.permutations(["responseTime > 2 -> MARGINAL", "status = 250 -> FAILED", "uploadTime > 9 -> GOOD"]))
def test_of_several_that_fit_the_first_counts(texts: list[str]) -> None:
    fitting = [text for text in texts if "uploadTime" not in text]
    rule = level_of(rules(*texts), SENT).rule
    assert str(rule) == fitting[0]


def test_a_result_says_why_it_has_its_level() -> None:
    judged = graded(rules("timeToDeliver > 1 -> MARGINAL"), READ)
    assert judged.level is Level.MARGINAL
    assert judged.message == "Message Successfully Downloaded; timeToDeliver 1.5 > 1: MARGINAL"
    assert judged.grading is not None
    assert judged.grading.classification == "timeToDeliver > 1 -> MARGINAL"


def test_a_rule_that_only_agrees_adds_nothing_to_the_message() -> None:
    judged = graded(rules("timeToDeliver < 60 -> GOOD"), READ)
    assert (judged.level, judged.message) == (Level.GOOD, READ.message)
    assert judged.grading is not None
    assert judged.grading.classification == "timeToDeliver < 60 -> GOOD"


def test_a_long_text_is_cut_in_the_reason() -> None:
    long = replace(READ, delivery=replace(DELIVERY, folder="x" * 200))
    assert level_of(rules("folder != INBOX -> FAILED"), long).reason == f"folder {'x' * 60}... != INBOX"


def judged(results: list[Result], retests: int, *texts: str, standing: Standing | None = None) -> Result:
    """The last result, after all of them were attempts of one poll; each but the last is to be retested."""
    judge = Judge(rules(*texts), retests, standing or Standing())
    assert [judge.fails(result) for result in results[:-1]] == [True] * (len(results) - 1)
    judge.fails(results[-1])
    return judge.graded(results[-1])


SLOW = "responseTime > 2 -> FAILED"


@pytest.mark.parametrize(
    ("texts", "result", "fails"),
    [
        ([], SENT, False),
        ([], REFUSED, True),
        ([], OURS, True),
        ([SLOW], SENT, True),
        (["responseTime > 2 -> MARGINAL"], SENT, False),
        (["status = 550 -> GOOD"], REFUSED, False),
        (["status = 550 -> MARGINAL"], REFUSED, False),
        (["status = 550 -> FAILED"], REFUSED, True),
    ],
)
def test_an_attempt_fails_by_its_classification(texts: list[str], result: Result, fails: bool) -> None:
    assert Judge(rules(*texts), 3).fails(result) is fails


@pytest.mark.parametrize(
    ("results", "texts", "count"),
    [
        ([SENT], [], None),
        ([REFUSED], [], 1),
        ([REFUSED, HUNG], [], 2),
        ([REFUSED, HUNG, SENT], [], 0),
        ([REFUSED, OURS], [], 0),
        ([SENT, SENT], [SLOW], 2),
        ([REFUSED], ["status = 550 -> GOOD"], None),
    ],
)
def test_consecutive_failures_counts_the_failed_attempts_of_a_poll(
    results: list[Result], texts: list[str], count: int | None
) -> None:
    result = judged(results, 3, *texts)
    assert common_as_data(result)["consecutiveFailures"] == count
    assert common_as_data(result)["failureRetests"] == 3


def test_without_retests_there_is_no_count() -> None:
    result = judged([REFUSED], 0, "consecutiveFailures >= 0 -> GOOD")
    assert result.level is Level.FAILED
    assert common_as_data(result)["consecutiveFailures"] is None


@pytest.mark.parametrize(
    "texts",
    [
        ["consecutiveFailures < 3 -> MARGINAL"],
        ["consecutiveFailures <= 2 Marginal", "consecutiveFailures > 2 Failed"],
        ["consecutiveFailures < 3 and status = 550 -> MARGINAL", "status = 550 -> FAILED"],
    ],
)
def test_a_rule_on_the_count_of_failures_does_not_end_the_retests(texts: list[str]) -> None:
    judge = Judge(rules(*texts), 3)
    levels = []
    for _ in range(4):
        assert judge.fails(REFUSED)
        levels.append(judge.graded(REFUSED).level)
    assert levels == [Level.MARGINAL, Level.MARGINAL, Level.FAILED, Level.FAILED]
    assert judged([REFUSED, SENT], 3, *texts).level is Level.GOOD


def test_a_rule_may_ask_how_many_attempts_failed() -> None:
    assert judged([REFUSED], 3, "consecutiveFailures < 2 -> MARGINAL").level is Level.MARGINAL
    above = judged([REFUSED, REFUSED], 3, "consecutiveFailures >= 2 -> MARGINAL")
    assert (above.level, above.message) == (
        Level.MARGINAL,
        f"{REFUSED.message}; consecutiveFailures 2 >= 2: MARGINAL",
    )


@pytest.mark.parametrize("retests", [0, 3])
def test_a_rule_may_ask_how_many_retests_there_would_be(retests: int) -> None:
    assert judged([SENT], retests, f"failureRetests = {retests} -> MARGINAL").level is Level.MARGINAL
    assert judged([SENT], retests, f"failureRetests != {retests} -> MARGINAL").level is Level.GOOD


def test_a_result_of_a_check_is_judged_again_once_it_is_whole() -> None:
    judge = Judge(rules("messages > 10 -> FAILED"), 1)
    assert judge.fails(replace(CHECK, message="The mailbox can be read; 12 messages in it"))
    result = judge.graded(CHECK)
    assert result.message == f"{CHECK.message}; messages 12 > 10: FAILED"
    assert common_as_data(result)["consecutiveFailures"] == 1


def test_a_rule_may_ask_how_the_pair_stood_before() -> None:
    standing = Standing(Level.FAILED, AT_US - 90_000_000)
    assert (
        judged([SENT], 0, "timeSinceFirstFailure > 60 -> MARGINAL", standing=standing).level is Level.MARGINAL
    )
    assert judged([SENT], 0, "timeSinceFirstFailure > 91 -> MARGINAL", standing=standing).level is Level.GOOD
    assert judged([SENT], 0, "timeSinceFirstFailure >= 0 -> MARGINAL").level is Level.GOOD
    once = "lastServiceLevel = 1 and fault = timeout -> MARGINAL"
    assert judged([HUNG], 0, once, standing=Standing(Level.GOOD)).level is Level.MARGINAL
    assert judged([HUNG], 0, once, standing=Standing(Level.MARGINAL)).level is Level.FAILED


def test_how_the_pair_stood_is_shown_where_it_was_asked_for() -> None:
    standing = Standing(Level.FAILED, AT_US - 90_000_000)
    shown = common_as_data(judged([SENT], 0, "lastServiceLevel = 3 -> MARGINAL", standing=standing))
    assert (shown["serviceLevel"], shown["lastServiceLevel"], shown["timeSinceFirstFailure"]) == (2, 3, 90)
    assert common_as_data(SENT)["lastServiceLevel"] is None


def test_history_is_asked_for_only_where_a_rule_names_it() -> None:
    assert not asks_for_history(rules("responseTime > 2 and consecutiveFailures > 1 -> FAILED"))
    assert asks_for_history(
        rules("status = 1 -> GOOD", "responseTime > 2 and lastServiceLevel = 3 -> FAILED")
    )


def test_rules_for_what_becomes_of_a_message_travel_with_it() -> None:
    given = rules("responseTime > 1 -> FAILED", "timeToDeliver > 60 -> FAILED", "fault = spam -> GOOD")
    assert for_reads(given).splitlines() == ["timeToDeliver > 60 -> FAILED", "fault = spam -> GOOD"]
    assert of_text(for_reads(given)) == given[1:]
    assert of_text(for_reads(given[:1])) == ()
    assert of_text("orbit = low -> GOOD\ntimeToDeliver > 60 -> FAILED") == given[1:2]


@pytest.mark.parametrize(
    "texts", [(), ("responseTime > 1 -> FAILED",), ('outcome = spam and folder = "a b" -> GOOD',)]
)
def test_a_pending_message_keeps_the_rules_for_what_becomes_of_it(texts: tuple[str, ...]) -> None:
    element = SmtpElement(
        name="mail", server="h", email="p@example.com", read="box", servicelevels=rules(*texts)
    )
    accepted = replace(SENT, attempts=(replace(SENT.attempts[0], accepted_at_us=AT_US),))
    pending = pending_of(element, accepted, 5)
    assert pending is not None
    assert of_text(pending.servicelevels) == tuple(
        rule for rule in element.servicelevels if Phase.READ in rule.phases
    )
    assert Pending.loads(pending.dumps()) == pending
    if not pending.servicelevels:
        assert len(json.loads(pending.dumps())) == 6  # as it was before there were rules


def test_what_the_element_asked_for_stands_in_its_results() -> None:
    element = SmtpElement(name="mail", server="mx.example.com", description="Our relay")
    shown = common_as_data(replace(SENT, service=service_of(element)))
    assert (shown["identifier"], shown["description"]) == ("mail", "Our relay")
    assert (shown["host"], shown["monitorHost"]) == ("mx.example.com", "probe-1.example.com")


def test_without_a_description_there_is_the_one_of_the_ism() -> None:
    element = SmtpElement(name="mail", server="mx.example.com")
    assert common_as_data(replace(SENT, service=service_of(element)))["description"] == element.title
