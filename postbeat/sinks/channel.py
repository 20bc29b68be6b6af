"""What every type of sink is to the rest: a way to a receiver, which takes an event or does not."""

from __future__ import annotations

from collections.abc import Sequence

from postbeat.model import LocalFault, Secret
from postbeat.secrets import resolve
from postbeat.sinks.notice import Notice


class NotDeliveredError(Exception):
    """The receiver did not take an event; the message holds no secret.

    ``permanent``: it never will. ``retry_after_s`` is when it asks to be tried again, 0 where it does not.
    """

    def __init__(self, reason: str, *, permanent: bool = False, retry_after_s: float = 0.0) -> None:
        super().__init__(reason)
        self.permanent = permanent
        self.retry_after_s = retry_after_s


class Channel:
    """A way to a receiver. ``resend_s`` is how often it wants to hear of what is still open; 0 is never."""

    resend_s = 0.0

    async def deliver(self, notice: Notice) -> None:
        """Hands an event over.

        Raises:
            NotDeliveredError: the receiver did not take it.
        """
        raise NotImplementedError

    async def still_open(self, notices: Sequence[Notice]) -> None:
        """Tells of the problems that were told and are not over.

        Raises:
            NotDeliveredError: the receiver did not take it.
        """

    async def close(self) -> None:
        """Closes what is open."""


def revealed(secret: Secret | None) -> str:
    """The value of a secret, read anew each time, so that it can be renewed.

    Raises:
        NotDeliveredError: the reference leads nowhere.
    """
    try:
        return resolve(secret, None)
    except LocalFault as fault:
        raise NotDeliveredError(fault.message) from None
