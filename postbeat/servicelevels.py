"""The level of a result by its element's service level classifications. Pure.

The first classification that fits decides; without one the built-in level stays (:mod:`postbeat.grade`).
What is a fault of ours is UNKNOWN whatever the rules say. A test that failed by the service's fault keeps its
level unless a rule names how it failed: a rule on figures alone speaks of tests that succeeded.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from postbeat import plain
from postbeat.classification import OPERANDS, Classification, Condition, number_text
from postbeat.elements import MailboxElement, SmtpElement
from postbeat.grade import days_left
from postbeat.model import Level, Phase, Side
from postbeat.results import Grading, Result, Service

_HISTORY = frozenset({"timeSinceFirstFailure", "lastServiceLevel"})
_LAST_REPLY = frozenset({"status", "enhanced", "reply"})
_REFUSALS = range(400, 600)
_SHOWN = 60  # characters of a measured text in a reason
_UNREPEATED = frozenset({"message", "reply"})  # too long to be said twice


@dataclass(frozen=True, slots=True)
class Standing:
    """How a pair stands before a poll: its level, and since when it has been failing (None: it is not)."""

    level: Level | None = None
    failed_since_us: int | None = None


NOTHING_KNOWN = Standing()


@dataclass(frozen=True, slots=True)
class Grade:
    """The level of a result, the rule that decided (None: the built-in level stays), and why it fits."""

    level: Level
    rule: Classification | None = None
    reason: str = ""


def asks_for_history(rules: Iterable[Classification]) -> bool:
    """Whether a rule can only be judged by who knows how the pair stands."""
    return any(condition.operand in _HISTORY for rule in rules for condition in rule.conditions)


def service_of(element: SmtpElement | MailboxElement) -> Service:
    """What an element asked for, with its server and its description."""
    asked = element.service
    return Service(
        asked.port,
        asked.security,
        asked.authentication,
        asked.user,
        asked.email,
        element.server,
        element.description,
    )


@functools.lru_cache(maxsize=4096)
def for_reads(rules: tuple[Classification, ...]) -> str:
    """Those rules of an smtp element that can judge what becomes of its messages, as one text."""
    return "\n".join(str(rule) for rule in rules if Phase.READ in rule.phases)


@functools.lru_cache(maxsize=4096)
def of_text(text: str) -> tuple[Classification, ...]:
    """The rules of a text that :func:`for_reads` wrote.

    A rule of a newer worker that this one does not know is left out: its message must be read all the same.
    """
    found = []
    for line in text.splitlines():
        with contextlib.suppress(ValueError):
            found.append(Classification.parse(line))
    return tuple(found)


def level_of(
    rules: Sequence[Classification],
    result: Result,
    standing: Standing = NOTHING_KNOWN,
    retests: int = 0,
    failures: int | None = None,
) -> Grade:
    """The level of a result that has its built-in level and message.

    Args:
        rules: the element's, in their order.
        result: as the built-in rules have it.
        standing: of the pair before this poll.
        retests: that the element asks for.
        failures: failed attempts in a row, this one included; None where none failed, or without retests.
    """
    fault = result.fault
    if not rules or (fault is not None and fault.side is Side.LOCAL):
        return Grade(result.level)
    measured = _measured(result, standing, retests, failures)
    for rule in rules:
        if all(condition.holds(measured.get(condition.operand)) for condition in rule.conditions) and (
            fault is None or _tells_failure(rule, result)
        ):
            return Grade(rule.level, rule, _reason(rule, measured))
    return Grade(result.level)


class Judge:
    """Judges the attempts of one poll, one after another, and its result in the end.

    ``needed`` is whether that is more than the built-in levels.
    """

    def __init__(
        self, rules: Sequence[Classification], retests: int, standing: Standing = NOTHING_KNOWN
    ) -> None:
        self.needed = bool(rules or retests)
        self._rules = rules
        self._retests = retests
        self._standing = standing
        self._before = 0  # failures in a row before the last attempt
        self._failures = 0  # with the last attempt
        self._any = False
        self._judged: tuple[Result, Grade] | None = None

    def fails(self, result: Result) -> bool:
        """Takes what the poll would come to with the attempt just made; whether that is to be retested.

        It is where it fails by the rules that do not ask for the count of failures, which would stand still
        otherwise. Where none of them fits, every fault is: ours, and what is MARGINAL, too.
        """
        self._before = self._failures
        uncounted, grade = self._grades(result)
        self._judged = result, grade
        return result.fault is not None if uncounted.rule is None else uncounted.level is Level.FAILED

    def graded(self, result: Result) -> Result:
        """The result of the last attempt with its level, and why it has that.

        It may say more than the one that :meth:`fails` took.
        """
        if not self.needed:
            return result
        known = self._judged
        grade = known[1] if known is not None and known[0] is result else self._grades(result)[1]
        failing_since_us, last = self._standing.failed_since_us, self._standing.level
        return _with_grade(
            result,
            grade,
            Grading(
                classification=str(grade.rule) if grade.rule else "",
                failure_retests=self._retests,
                consecutive_failures=self._failures if self._any else None,
                last_level=last,
                failing_for_us=None if failing_since_us is None else max(0, result.at_us - failing_since_us),
            ),
        )

    def _grades(self, result: Result) -> tuple[Grade, Grade]:
        """The grade by all that does not ask for the count of failures, which it decides; and that by all."""
        uncounted = level_of(self._rules, result, self._standing, self._retests)
        failed = uncounted.level is Level.FAILED
        self._failures = self._before + 1 if failed else 0
        if not self._retests:
            return uncounted, uncounted
        self._any = self._any or failed
        if not failed or not self._rules:
            return uncounted, uncounted
        return uncounted, level_of(self._rules, result, self._standing, self._retests, self._failures)


def graded(rules: Sequence[Classification], result: Result) -> Result:
    """A read, or what came after one, with the level by the rules of the element that sent the message."""
    grade = level_of(rules, result)
    if grade.rule is None:
        return result
    return _with_grade(result, grade, Grading(classification=str(grade.rule)))


def _with_grade(result: Result, grade: Grade, grading: Grading) -> Result:
    is_news = grade.rule is not None and not grade.level is result.level is Level.GOOD
    message = f"{result.message}; {grade.reason}: {grade.level}" if is_news else result.message
    return replace(result, level=grade.level, message=message, grading=grading)


def _tells_failure(rule: Classification, result: Result) -> bool:
    """Whether a rule names how the test failed. A status that refused nothing does not."""
    attempt = result.decisive
    refused = attempt is not None and attempt.status is not None and attempt.status in _REFUSALS
    names = (condition.operand for condition in rule.conditions)
    return any(OPERANDS[name].tells_failure and (refused or name not in _LAST_REPLY) for name in names)


def _measured(result: Result, standing: Standing, retests: int, failures: int | None) -> dict[str, Any]:
    """What conditions compare with, by operand; what was not measured is None or not there."""
    fault = result.fault
    found: dict[str, Any] = {
        "message": result.message,
        "identifier": result.poll.element,
        "fault": fault.code if fault else None,
        "stage": (fault.stage or None) if fault else None,
        "side": fault.side if fault else None,
    }
    if result.phase not in (Phase.SEND, Phase.CHECK):
        return found | _of_message(result)
    by_phase = plain.elements_as_data if result.phase is Phase.SEND else plain.check_as_data
    found |= by_phase(result) | plain.common_as_data(result) | _of_attempt(result)
    since_us, last = standing.failed_since_us, standing.level
    found["failureRetests"] = retests
    found["consecutiveFailures"] = failures
    found["timeSinceFirstFailure"] = None if since_us is None else max(0, result.at_us - since_us) / 1e6
    found["lastServiceLevel"] = None if last is None else plain.LEVEL_NUMBERS[last]
    found["attempts"] = len(result.attempts)
    return found


def _of_attempt(result: Result) -> dict[str, Any]:
    attempt = result.decisive
    if attempt is None:
        return {}
    is_send, tls = result.phase is Phase.SEND, attempt.tls
    return {
        "totalTime": attempt.total_us / 1e6,
        "enhanced": (attempt.enhanced or None) if is_send else None,
        "reply": (attempt.reply or None) if is_send else None,
        "certificateDays": days_left(tls, result.at_us) if tls else None,
        "tlsVersion": (tls.version or None) if tls else None,
        "tlsCipher": (tls.cipher or None) if tls else None,
        "verified": _truth(tls.verified) if tls else None,
    }


def _of_message(result: Result) -> dict[str, Any]:
    shown = plain.delivery_as_data(result)
    found = {name: value for name, value in shown.items() if name in OPERANDS and name != "totalTime"}
    for name in ("pushed", "outOfOrder"):
        found[name] = _truth(shown[name])
    found["altered"] = "; ".join(shown["altered"] or ()) or None
    verdicts: Mapping[str, Any] = shown["verdicts"] or {}
    return found | {method: verdict["result"] for method, verdict in verdicts.items() if verdict}


def _truth(value: bool | None) -> str | None:
    return None if value is None else str(value).lower()


def _reason(rule: Classification, measured: Mapping[str, Any]) -> str:
    return " and ".join(_said(one, measured[one.operand]) for one in rule.conditions)


def _said(condition: Condition, measured: str | float) -> str:
    """A condition with what was measured, where the condition does not say that itself."""
    if condition.operator == "=" or condition.operand in _UNREPEATED:
        return str(condition)
    if isinstance(measured, str):
        text = measured if len(measured) <= _SHOWN else f"{measured[:_SHOWN]}..."
    else:
        short = round(measured, 2)  # as long as the comparison still shows
        text = number_text(short if condition.holds(short) else round(measured, 6))
    return f"{condition.operand} {text} {condition.operator} {condition.value_text}"
