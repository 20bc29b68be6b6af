"""A small mail world: domains whose DNS, policies and certificates are right, wrong, expired or missing."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from postbeat import mtasts, resolve
from postbeat.embedded.processes import Processes
from postbeat.mtasts import PolicyStore
from postbeat.resolve import Resolver
from tests.dns.nameserver import PLAIN, SIGNED, NameServers, name_servers, tlsa

PAST = datetime(2020, 1, 1, tzinfo=UTC)
ENFORCE = b"version: STSv1\r\nmode: enforce\r\nmx: *.plain.test\r\nmax_age: 86400\r\n"
TESTING = ENFORCE.replace(b"enforce", b"testing")


@dataclass(frozen=True, slots=True)
class World:
    """Name servers, an authority, and the TLS contexts of servers by what is right or wrong with them."""

    servers: NameServers
    authority_file: str
    contexts: dict[str, ssl.SSLContext]

    def resolver(self) -> Resolver:
        """A resolver with an empty cache that asks the validating name server."""
        return Resolver([self.servers.validating], hosts="/nonexistent")


def make_world(processes: Processes, folder: Path) -> World:
    """Starts the name servers; the certificates come first, as TLSA records name them."""
    authority, stranger = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    names = (f"*.{SIGNED}", f"mx.{PLAIN}", f"*.{PLAIN}", f"mta-sts.{PLAIN}")
    leaves = {
        "right": authority.issue_cert(*names),
        "expired": authority.issue_cert(*names, not_before=PAST, not_after=PAST + timedelta(days=90)),
        "misnamed": authority.issue_cert("other.test"),
        "stranger": stranger.issue_cert(*names),
        "forged": stranger.issue_cert(*names),  # sent together with the authority's certificate
    }
    signed = _signed_zone(leaves["right"].cert_chain_pems[0].bytes(), authority.cert_pem.bytes())
    servers = name_servers(processes, folder, signed, _plain_zone())
    contexts = {}
    for name, leaf in leaves.items():
        contexts[name] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        leaf.configure_cert(contexts[name])
        if name != "stranger":
            _send_root(contexts[name], leaf, authority, folder / f"{name}.pem")
    return World(servers, str(folder / "authority.pem"), contexts)


def _send_root(context: ssl.SSLContext, leaf: trustme.LeafCert, authority: trustme.CA, file: Path) -> None:
    """Has a server send its authority's certificate too, as DANE-TA asks for (RFC 7672 section 3.1.2)."""
    parts = [leaf.private_key_pem.bytes(), leaf.cert_chain_pems[0].bytes(), authority.cert_pem.bytes()]
    file.write_bytes(b"".join(parts))
    context.load_cert_chain(file)


def _signed_zone(leaf_pem: bytes, authority_pem: bytes) -> str:
    leaf, authority = map(x509.load_pem_x509_certificate, (leaf_pem, authority_pem))
    der, key = leaf.public_bytes(Encoding.DER), _key(leaf)
    records = {
        "full": tlsa(3, 0, 0, der),
        "key": tlsa(3, 1, 1, key),
        "digest": tlsa(3, 0, 2, der),
        "anchor": tlsa(2, 0, 1, authority.public_bytes(Encoding.DER)),
        "anchor-key": tlsa(2, 1, 2, _key(authority)),
        "wrong": tlsa(3, 1, 1, b"another key"),
        "rollover": f"{tlsa(3, 1, 1, b'the next key')}\n*._tcp.mx-rollover IN TLSA {tlsa(3, 1, 1, key)}",
        "unusable": tlsa(1, 1, 1, key),
    }
    lines = ["@ IN MX 10 mx", "mx IN A 127.0.0.1"]
    for name, record in records.items():
        lines += [
            f"{name} IN MX 10 mx-{name}",
            f"mx-{name} IN A 127.0.0.1",
            f"*._tcp.mx-{name} IN TLSA {record}",
        ]
    return "\n".join(lines) + "\n"


def _key(certificate: x509.Certificate) -> bytes:
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _plain_zone() -> str:
    return f"""
mx IN A 127.0.0.1
six IN AAAA ::1
both IN A 127.0.0.1
both IN AAAA ::1
alias IN CNAME alias2
alias2 IN CNAME mx
odd IN MX 10 a\\032b
idn IN MX 10 mx
xn--bcher-kva IN MX 10 mx
loop IN CNAME loop2
loop2 IN CNAME loop
short 1 IN A 127.0.0.1
empty IN TXT "nothing"
dead IN A 127.0.0.2
{chr(10).join(f'large IN TXT "{number:0200}"' for number in range(20))}
@ IN MX 10 mx
preferred IN MX 20 mx
preferred IN MX 10 dead
implicit IN A 127.0.0.1
null IN MX 0 .
nowhere IN MX 10 missing
half IN MX 10 loop
half IN MX 20 dead
insecure IN MX 10 mx-insecure
mx-insecure IN A 127.0.0.1
*._tcp.mx-insecure IN TLSA {tlsa(3, 1, 1, b"any")}
_mta-sts IN TXT "v=STSv1; id=1"
mta-sts IN A 127.0.0.1
two IN MX 10 mx
_mta-sts.two IN TXT "v=STSv1; id=1"
_mta-sts.two IN TXT "v=STSv1; id=2"
"""


@dataclass(slots=True)
class PolicyHost:
    """An HTTPS server that gives this answer, and counts how often it was asked."""

    body: bytes = ENFORCE
    status: bytes = b"200 OK"
    port: int = 0
    requests: list[bytes] = field(default_factory=list)


@contextlib.asynccontextmanager
async def policy_host(world: World, certificate: str = "right") -> AsyncIterator[PolicyHost]:
    """The policy host of ``plain.test``, which the process then asks."""
    host = PolicyHost()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            host.requests.append(await reader.readuntil(b"\r\n\r\n"))
            length = b"%d" % len(host.body)
            writer.write(b"HTTP/1.1 %b\r\nContent-Length: %b\r\n\r\n%b" % (host.status, length, host.body))
            await writer.drain()
        writer.transport.abort()

    listener = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=world.contexts[certificate])
    host.port = listener.sockets[0].getsockname()[1]
    mtasts.use(PolicyStore(host.port, world.authority_file))
    try:
        yield host
    finally:
        listener.close()


def restore() -> None:
    """The resolver and the policies of a process that asked nothing yet."""
    resolve.use(Resolver())
    mtasts.use(PolicyStore())
