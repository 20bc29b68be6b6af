from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Account:
    """Credentials for the tests of mechanisms; as in RFC 2195, RFC 4616 and RFC 7628."""

    username: str = "tim"
    password: str = "tanstaaftanstaaf"
    sharedsecret: str = ""
    token: str = "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="
    server: str = "server.example.com"
    port: int = 143
