"""What a server says when it is our own sessions or logins that are too many, where it has no code for it."""

from __future__ import annotations

import pytest

from postbeat.probes.opening import our_doing, throttled


@pytest.mark.parametrize(
    "text",
    [
        "Too many login attempts, please try again later",
        "too many logins",
        "Too many authentication attempts",
        "Account exceeded command or bandwidth limits. (Failure)",
        "Login rate limit exceeded",
        "rate-limited, slow down",
        "Request is throttled. Suggested Backoff Time: 299961 milliseconds",
        "You are logging in too frequently",
        "[LOGIN-DELAY] minimum time between mailbox logins is 60 seconds",
        "please wait 5 minutes before logging in again",
    ],
)
def test_logins_that_come_too_often_are_known_by_the_words(text: str) -> None:
    assert (throttled(text), our_doing(text)) == (True, False)


@pytest.mark.parametrize(
    "text",
    [
        "Too many simultaneous connections. (Failure)",
        "too many concurrent logins",
        "Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)",
        "maildrop already locked",
        "mailbox is in use by another session, rate limit does not matter",
    ],
)
def test_sessions_that_are_too_many_at_once_are_another_matter(text: str) -> None:
    assert (throttled(text), our_doing(text)) == (False, True)


@pytest.mark.parametrize(
    "text",
    [
        "Temporary authentication failure, try again later",
        "too many failed login attempts",
        "Too many invalid logins",
        "Authentication failed.",
        "the mailbox is over its quota limit",
    ],
)
def test_other_refusals_are_not_our_doing(text: str) -> None:
    assert (throttled(text), our_doing(text)) == (False, False)
