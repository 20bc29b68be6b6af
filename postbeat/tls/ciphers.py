"""Cipher strings, as OpenSSL writes them, made to fit the OpenSSL that is here.

The reference page is of a time when RC4, DES and the export ciphers existed; its default names nothing else.
"""

from __future__ import annotations

import functools
import re
import ssl
from dataclasses import dataclass

from postbeat.model import FaultCode, LocalFault

_SEPARATORS = re.compile(r"[:,; ]+")
# What the page's time knew and OpenSSL has since dropped, alone or as a part of a name.
_RETIRED = re.compile(
    r"(?:^|[-+])(?:RC[24]|3?DES|EXP(?:ORT(?:40|56)?)?|LOW|MEDIUM|IDEA|SEED|MD5|SSLV[23])(?=$|[-+])",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Suite:
    """A cipher string that selects something, and the words of the one asked for that select nothing."""

    text: str
    dropped: tuple[str, ...] = ()

    @property
    def note(self) -> str:
        """What was dropped, in words; "" for nothing."""
        if not self.dropped:
            return ""
        rest = "its default ciphers are used" if self.text == "DEFAULT" else f"{self.text} is used"
        return f"{', '.join(self.dropped)}: unknown to {_openssl()}; {rest}"


@functools.lru_cache(maxsize=256)
def fitted(asked: str) -> Suite:
    """The part of a cipher string that this OpenSSL knows.

    Where only ciphers that are no more were asked for, it is OpenSSL's default, as a test over other ciphers
    says more about a service than none.

    Raises:
        LocalFault: nothing is left, or the string is malformed.
    """
    kept: list[str] = []
    dropped: list[str] = []
    for word in filter(None, _SEPARATORS.split(asked)):
        (kept if word[0] in "!-@" or _selects(word.removeprefix("+")) else dropped).append(word)
    text = ":".join(kept)
    if text and _selects(text):
        return Suite(text, tuple(dropped))
    if dropped and all(_RETIRED.search(word) or word[0] == "+" for word in dropped):
        return Suite("DEFAULT", tuple(dropped))
    raise LocalFault(FaultCode.OPTION, f"sslciphersuite {asked!r} selects no cipher that {_openssl()} has")


def _selects(text: str) -> bool:
    # The version 1.3 has ciphers of its own, which no cipher string selects.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.set_ciphers(f"{text}:@SECLEVEL=0")
    except ssl.SSLError:
        return False
    return True


def _openssl() -> str:
    return " ".join(ssl.OPENSSL_VERSION.split()[:2])
