"""Statements of the ISM's service levels -> the rules of the elements that can judge by them here. Pure.

The ISM's mail readers judge each message and each look by the same statements. Here the rules of a mailbox
judge its checks, and messages are judged by those of the smtp element that sent them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TypeAlias

from postbeat.classification import Classification, Condition, NeverFits
from postbeat.contradictions import why_unfit
from postbeat.elements import AnyElement, Imap4Element, Pop3Element, SmtpElement
from postbeat.ism import levels
from postbeat.ism.transfer.drafts import Draft
from postbeat.ism.transfer.report import Effect
from postbeat.model import Kind, Phase

_FIELD = "servicelevels"
_SENDS = "attempts > 0"  # only polls have attempts, and those of an smtp element are its sends
_DOWNLOADED = "message successfully downloaded"  # the ISM's text of each message
_SHOWN = 80  # characters of a statement in a note
_ISM_LOGINS = ("standard", "apop")

_Notes: TypeAlias = Sequence[tuple[Effect, str]]


def settle(drafts: Sequence[Draft]) -> None:
    """Puts the service levels of all elements into their values; what can judge nothing here is left out."""
    senders: dict[object, list[Draft]] = defaultdict(list)
    for draft in drafts:
        senders[draft.values.get("read")].append(draft)
    for draft in sorted(drafts, key=lambda it: it.kind is not Kind.SMTP):  # their own rules come first
        if _FIELD not in draft.row.given:
            continue
        judging = []
        for rule, notes in _rules(draft):
            judges = _judges(draft, rule, senders)
            for effect, text in notes if judges else ():  # of what is left out only that is said
                _note(draft, effect, rule, text)
            judging += [(rule, it) for it in judges]
        for rule, judge in judging:
            known = judge.values.setdefault(_FIELD, [])
            if isinstance(known, list) and (judge is draft or str(rule) not in known):
                known.append(str(rule))
        if not judging:
            del draft.row.given[_FIELD]


def _rules(draft: Draft) -> Sequence[tuple[Classification, _Notes]]:
    """The rules of the statements of an element, each with what is to be known of it where it judges."""

    def unfit(statement: str, error: NeverFits) -> None:
        _note(draft, Effect.LEFT_OUT, statement, str(error))

    try:
        return levels.parse_all(draft.text(_FIELD), partial(_adapted, draft), unfit)
    except ValueError as error:
        for message in str(error).splitlines():
            draft.fault(_FIELD, message)
        return ()


def _adapted(draft: Draft, statement: str) -> tuple[Classification, _Notes]:
    """The rule of a statement, with what is to be known of it.

    One of the ISM on ``message`` was made for the ISM's texts, which are others.

    Raises:
        NeverFits: it would judge here what it did not in the ISM.
        ValueError: it is no statement.
    """
    rule = levels.parse(statement)
    others = [one for one in rule.conditions if one.operand == "message" and not _is_same_text(draft, one)]
    if not others or levels.is_of_a_profile(statement):
        return rule, ()
    if any(one.operator.startswith("!") for one in others):
        raise NeverFits("the texts of message are Postbeat's own, and would always differ")
    notes = []
    if draft.kind is Kind.SMTP and "read" in draft.values and Phase.READ in rule.phases:
        try:
            rule = Classification.parse(
                f"{' and '.join(map(str, rule.conditions))} and {_SENDS} -> {rule.level}"
            )
        except ValueError as error:
            raise NeverFits(f"with {_SENDS}, which keeps it to sends: {error}") from error
        notes.append((Effect.CHANGES, f"{_SENDS} keeps it to sends: the ISM judged no messages by it"))
    notes.append((Effect.REMARK, "the texts of message are Postbeat's own; fault and stage do not change"))
    return rule, notes


def _is_same_text(draft: Draft, condition: Condition) -> bool:
    """Whether it asks for the text of a download, which the readers of both have."""
    text = str(condition.value).casefold()
    return draft.kind is not Kind.SMTP and "successfully" in text and text in _DOWNLOADED


def _judges(draft: Draft, rule: Classification, senders: Mapping[object, Sequence[Draft]]) -> Sequence[Draft]:
    """The elements that have a rule of an element here; none where it is left out."""
    if draft.kind is not Kind.SMTP and Phase.CHECK not in rule.phases and Phase.READ in rule.phases:
        found = senders.get(draft.name, ())
        if found:
            _note(draft, Effect.CHANGES, rule, "the smtp elements whose messages are looked for here have it")
        else:
            _note(draft, Effect.LEFT_OUT, rule, "it judges messages, and no smtp element has its own here")
        return found
    why = _other_meaning(draft, rule) or _misfit(draft, rule)
    if why:
        _note(draft, Effect.LEFT_OUT, rule, why)
        return ()
    if any(condition.operand == "authentication" for condition in rule.conditions):
        _note(draft, Effect.REMARK, rule, "authentication is the authenticationtype here")
    return (draft,)


def _note(draft: Draft, effect: Effect, rule: Classification | str, text: str) -> None:
    statement = str(rule)
    if len(statement) > _SHOWN:
        statement = f"{statement[:_SHOWN]}..."
    draft.note(effect, _FIELD, f"{statement}: {text}")


def _misfit(draft: Draft, rule: Classification) -> str:
    """Why a profile would not take the rule for this element; "" where it would."""
    given = draft.values.get("failureretests", 0)
    retests = given if isinstance(given, int) else 0
    element: AnyElement
    if draft.kind is Kind.SMTP:
        read = str(draft.values["read"]) if "read" in draft.values else None
        element = SmtpElement(name="", server="", read=read, failureretests=retests)
    else:
        type_ = Imap4Element if draft.kind is Kind.IMAP4 else Pop3Element
        element = type_(name="", server="", failureretests=retests)
    return why_unfit(element, rule)


def _other_meaning(draft: Draft, rule: Classification) -> str:
    """Why the rule would judge here what it did not in the ISM; "" where it does not."""
    is_smtp = draft.kind is Kind.SMTP
    for condition in rule.conditions:
        text = str(condition.value).casefold()
        if is_smtp and condition.operand == "authentication" and text in _ISM_LOGINS:
            return "authentication is the authenticationtype here, such as PLAIN"
        if condition.operand == "message" and _is_same_text(draft, condition):
            return (
                "no check has the message of a download, and a message that is not found is FAILED by itself"
            )
    return ""
