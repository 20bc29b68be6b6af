"""Names to addresses and other records: a stub resolver of our own (RFC 1034 section 5.3.1) with a cache.

Addresses come from the hosts file first, and then from the name servers of ``/etc/resolv.conf`` or of the
setting POSTBEAT_RESOLVER. A name that does not exist is a fault of the service; a name server that does not
answer, or answers that it cannot, is ours.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import dns.asyncquery
import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdatatype
from dns.rdtypes.ANY.TXT import TXT

from postbeat.model import AddressFamily, FaultCode, LocalFault, RemoteFault
from postbeat.ourfiles import Made

PORT = 53
TRY_S = 3.0  # for one name server to answer; then it is the turn of the next
ROUNDS = 2  # how often each name server is asked
CACHE_LIMIT = 10_000  # questions whose answers are kept; the oldest are forgotten first
NEGATIVE_S = 300  # the longest that "there is none" is believed (RFC 2308 section 5)
FILE_BYTES = 4 << 20  # of a hosts file
UDP_BYTES = 1232  # of an answer; a larger one is asked for over TCP

_KINDS = {AddressFamily.IPV6: ("AAAA",), AddressFamily.IPV4: ("A",), AddressFamily.ANY: ("AAAA", "A")}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a question was answered: no records where the name has none of the kind.

    ``secure`` is the name server's word that it has validated the answer, its AD bit (RFC 4035 section
    3.2.3).
    """

    exists: bool
    records: tuple[dns.rdata.Rdata, ...]
    secure: bool
    ttl_s: float
    cached: bool = False


@dataclass(frozen=True, slots=True)
class Addresses:
    """The addresses of a name, in the order in which to try them, and where they are from."""

    hosts: tuple[str, ...]
    source: str = ""
    secure: bool = False


def ascii_name(name: str) -> str:
    """A domain name as it stands in DNS: in ASCII and small letters (RFC 5890).

    Raises:
        LocalFault: it is none.
    """
    try:
        return dns.name.from_text(name).to_text(omit_final_dot=True).lower()
    except (dns.exception.DNSException, UnicodeError) as error:
        raise LocalFault(FaultCode.LOOKUP, f"{name} is not a valid host name") from error


class Resolver:
    """Asks name servers, each ``(ip, port)``; without any, those of ``resolv_conf``."""

    def __init__(
        self,
        servers: Sequence[tuple[str, int]] = (),
        hosts: str = "/etc/hosts",
        resolv_conf: str = "/etc/resolv.conf",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._servers = tuple(servers)
        self._hosts = hosts
        self._resolv_conf = resolv_conf
        self._clock = clock
        self._kept: dict[tuple[str, str], tuple[float, Answer]] = {}
        self._asking: dict[tuple[str, str], asyncio.Task[Answer]] = {}

    async def addresses(self, server: str, family: AddressFamily = AddressFamily.ANY) -> Addresses:
        """The addresses of a host name; the search list counts for names without a dot only.

        Raises:
            RemoteFault: the name does not exist, or has no address of the family.
            LocalFault: the name is none, or our name servers did not answer.
        """
        written = [host for host in self._written(server) if family.includes(host)]
        if written:
            return Addresses(tuple(written), "from the hosts file")
        search = () if "." in server else self._conf().search
        exists = False
        for name in [*(f"{server}.{suffix}." for suffix in search), server]:
            found, there = await self._of_name(name, family)
            if found.hosts:
                return found
            exists = exists or there
        if not exists:
            raise RemoteFault(FaultCode.LOOKUP, f"no address for {server}: the name does not exist")
        which = "" if family is AddressFamily.ANY else f" {family}"
        raise RemoteFault(FaultCode.LOOKUP, f"no{which} address for {server}")

    def _written(self, server: str) -> Sequence[str]:
        with contextlib.suppress(LocalFault):  # a machine may do without the file
            return _HOSTS.of(self._hosts).get(server.rstrip(".").lower(), ())
        return ()

    def _conf(self) -> _Conf:
        with contextlib.suppress(LocalFault):
            return _CONF.of(self._resolv_conf)
        return _Conf()

    async def _of_name(self, name: str, family: AddressFamily) -> tuple[Addresses, bool]:
        """The addresses of exactly this name, and whether there is such a name."""
        kinds = _KINDS[family]
        answers: Sequence[Answer | BaseException | None] = [self._known(name, kind) for kind in kinds]
        if None in answers:
            answers = await asyncio.gather(*(self.ask(name, kind) for kind in kinds), return_exceptions=True)
        hosts: list[str] = []
        known = [answer for answer in answers if isinstance(answer, Answer)]
        for answer in known:
            hosts += [record.to_text() for record in answer.records]
        if not hosts:
            for error in answers:
                if isinstance(error, BaseException):
                    raise error
            return Addresses(()), any(answer.exists for answer in known)
        kept = [answer for answer in known if answer.records]
        left = min(answer.ttl_s for answer in kept)
        source = f"cached, {left:.0f} s left" if all(answer.cached for answer in kept) else ""
        return Addresses(_reachable_first(hosts), source, all(answer.secure for answer in kept)), True

    async def ask(self, name: str, kind: str) -> Answer:
        """The records of a kind (``MX``, ``TXT``, ...) that a name has, aliases followed.

        Whoever asks while the same question is under way waits for the same answer.

        Raises:
            LocalFault: the name is none, or our name servers did not answer.
            RemoteFault: the aliases of the name have no end.
        """
        if (known := self._known(name, kind)) is not None:
            return known
        question = (name.lower(), kind)
        task = self._asking.get(question)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._ask(question))
            self._asking[question] = task
            task.add_done_callback(lambda done: self._answered(question, done))
        # Shielded: one attempt's deadline must not take the answer from the others.
        return await asyncio.shield(task)

    async def texts(self, name: str) -> list[bytes]:
        """The TXT records of a name, the strings of each joined (RFC 7208 section 3.3).

        Raises:
            LocalFault, RemoteFault: as :meth:`ask`.
        """
        records = (await self.ask(name, "TXT")).records
        return [b"".join(record.strings) for record in records if isinstance(record, TXT)]

    async def txt(self, name: str) -> bytes | None:
        """The first TXT record of a name, or None; raises as :meth:`texts`."""
        return next(iter(await self.texts(name)), None)

    def _known(self, name: str, kind: str) -> Answer | None:
        until_s, answer = self._kept.get((name.lower(), kind), (0.0, None))
        left_s = until_s - self._clock()
        return replace(answer, cached=True, ttl_s=left_s) if answer is not None and left_s > 0 else None

    def _answered(self, question: tuple[str, str], done: asyncio.Task[Answer]) -> None:
        del self._asking[question]
        if done.cancelled() or done.exception() is not None:
            return
        self._kept.pop(question, None)
        if len(self._kept) >= CACHE_LIMIT:
            del self._kept[next(iter(self._kept))]
        self._kept[question] = (self._clock() + done.result().ttl_s, done.result())

    async def _ask(self, question: tuple[str, str]) -> Answer:
        name, kind = question
        try:
            query = dns.message.make_query(name, kind, use_edns=0, payload=UDP_BYTES)
        except (dns.exception.DNSException, UnicodeError) as error:
            raise LocalFault(FaultCode.LOOKUP, f"{name} is not a valid host name") from error
        query.flags |= dns.flags.AD  # asks for the bit in the answer (RFC 6840 section 5.7)
        response = await self._exchange(query, f"{name} {kind}")
        try:
            chain = response.resolve_chaining()
        except dns.message.ChainTooLong as error:
            raise RemoteFault(FaultCode.LOOKUP, f"the aliases of {name} have no end") from error
        except dns.exception.DNSException as error:
            raise LocalFault(FaultCode.RESOLVER, f"the answer for {name} makes no sense: {error}") from error
        records = tuple(chain.answer) if chain.answer is not None else ()
        ttl_s = chain.minimum_ttl if records else min(chain.minimum_ttl, NEGATIVE_S)
        exists = response.rcode() == dns.rcode.NOERROR
        return Answer(exists, records, bool(response.flags & dns.flags.AD), ttl_s)

    async def _exchange(self, query: dns.message.Message, what: str) -> dns.message.QueryMessage:
        trouble = "no name server is configured"
        silent = list(self._servers or self._conf().servers)
        for _ in range(ROUNDS):
            for server in tuple(silent):
                host, port = server
                try:
                    response, _ = await dns.asyncquery.udp_with_fallback(
                        query, host, TRY_S, port, ignore_unexpected=True, ignore_errors=True
                    )
                except (dns.exception.DNSException, OSError, EOFError) as error:
                    why = (
                        "does not answer" if isinstance(error, dns.exception.Timeout) else f"failed: {error}"
                    )
                    trouble = f"the name server {host} {why}"
                    continue
                rcode = response.rcode()
                if rcode in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN) and isinstance(
                    response, dns.message.QueryMessage
                ):
                    return response
                trouble = (
                    f"the name server {host} answered {dns.rcode.to_text(rcode)}{_explanation(response)}"
                )
                silent.remove(server)
        raise LocalFault(FaultCode.RESOLVER, f"could not look up {what}: {trouble}")


def _explanation(response: dns.message.Message) -> str:
    """What a name server says of its failure (RFC 8914), in one printable line."""
    for option in response.options:
        if isinstance(option, dns.edns.EDEOption):
            text = f" ({option.to_text()[:100]})"
            return "".join(c if c.isprintable() else "?" for c in text)
    return ""


def _reachable_first(hosts: Sequence[str]) -> tuple[str, ...]:
    """IPv6 first, as RFC 6724 has it, but last where this machine has no way to it."""
    six = [host for host in hosts if ":" in host]
    four = [host for host in hosts if ":" not in host]
    return (*six, *four) if not four or (six and _has_route(six[0])) else (*four, *six)


def _has_route(host: str) -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.connect((host, 9))  # sends nothing
    except OSError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class _Conf:
    """What resolv.conf(5) says, as far as it counts here."""

    servers: tuple[tuple[str, int], ...] = (("127.0.0.1", PORT),)
    search: tuple[str, ...] = ()


def _conf_of(data: bytes, path: str) -> _Conf:
    del path
    servers = []
    search: list[str] = []
    for line in data.decode("utf-8", "replace").splitlines():
        key, *values = line.split() or [""]
        if key == "nameserver" and values:
            servers.append((values[0], PORT))
        elif key in ("search", "domain"):
            search = [value.strip(".") for value in values if value.strip(".")]
    return _Conf(tuple(servers) or _Conf().servers, tuple(search))


def _hosts_of(data: bytes, path: str) -> dict[str, list[str]]:
    """The addresses of each name, in the order of hosts(5)."""
    del path
    found: dict[str, list[str]] = {}
    for line in data.decode("utf-8", "replace").splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        with contextlib.suppress(ValueError):
            host = str(ipaddress.ip_address(address))
            for name in names:
                found.setdefault(name.lower(), []).append(host)
    return found


_HOSTS = Made("the hosts file", FILE_BYTES, _hosts_of)
_CONF = Made("the resolver's file", FILE_BYTES, _conf_of)


class _Shared:
    resolver = Resolver()


def use(resolver: Resolver) -> None:
    """Makes this the resolver of the process."""
    _Shared.resolver = resolver


def shared() -> Resolver:
    """The resolver of the process: everything that it looks up shares one cache."""
    return _Shared.resolver
