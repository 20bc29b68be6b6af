"""Probe now: one poll from where the page runs, as ``postbeat probe`` makes it. Nothing is recorded."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from postbeat import profile as profiles
from postbeat import settings
from postbeat.elements import SmtpElement
from postbeat.probing import Prober
from postbeat.profile import ProfileError
from postbeat.roundtrip import RoundTrip
from postbeat.settings import SettingsError
from postbeat.web.problems import ProblemError

LONGEST_S = 120.0  # somebody waits for it at a screen


class NowProber:
    """Polls one element at a time. Blocks; safe for threads."""

    def __init__(self, profile: str) -> None:
        self._profile = Path(profile) if profile else None
        self._lock = threading.Lock()  # a prober's name server is shared by the whole process

    @property
    def is_there(self) -> bool:
        """Whether there is a profile to poll from."""
        return self._profile is not None

    def probe(self, name: str, region: str | None, *, read: bool) -> RoundTrip:
        """Polls an element, and where ``read`` is set looks for the message of an smtp element.

        Raises:
            ProblemError: there is no such element, or it cannot be polled now.
        """
        if self._profile is None:
            raise ProblemError(409, "no profile to probe from: start postbeat web with --profile")
        if not self._lock.acquire(blocking=False):
            raise ProblemError(429, "another probe is under way", headers={"Retry-After": "10"})
        try:
            return asyncio.run(self._poll(self._profile, name, region, read=read))
        except TimeoutError:
            raise ProblemError(
                409, f"the probe of {name} was not over after {LONGEST_S:.0f} seconds"
            ) from None
        except (ProfileError, SettingsError) as error:
            # Its message may show values of the profile; the log of beat has it.
            raise ProblemError(409, "the profile cannot be loaded; see: postbeat check") from error
        finally:
            self._lock.release()

    async def _poll(self, path: Path, name: str, region: str | None, *, read: bool) -> RoundTrip:
        profile = profiles.load(path)
        element = profile.elements.get(name)
        if element is None:
            raise ProblemError(404, f"the profile has no element {name}")
        chosen = region or element.regions[0]
        if chosen not in element.regions:
            raise ProblemError(404, f"{name} is not polled in region {chosen}")
        prober = Prober(settings.load())
        async with asyncio.timeout(LONGEST_S):
            if not isinstance(element, SmtpElement):
                return await prober.check(element, chosen)
            return await prober.round_trip(element, profile.reader_of(element) if read else None, chosen)
