"""Real name servers on loopback: NSD with a signed and an unsigned zone, and Unbound, which validates."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rcode

from postbeat.embedded.processes import Processes
from tests.conftest import not_installed
from tests.ports import free_port

SIGNED = "signed.test"
PLAIN = "plain.test"
PATH = "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
PROGRAMS = ("nsd", "unbound", "ldns-keygen", "ldns-signzone")


@dataclass(frozen=True, slots=True)
class NameServers:
    """Where the validating resolver is, and where one that does not validate."""

    validating: tuple[str, int]
    authoritative: tuple[str, int]


def name_servers(processes: Processes, folder: Path, signed: str, plain: str) -> NameServers:
    """Starts both; the texts are the records of ``signed.test`` and ``plain.test``."""
    for program in PROGRAMS:
        if shutil.which(program, path=PATH) is None:
            not_installed(program, "nsd unbound ldnsutils")
    for origin, records in ((SIGNED, signed), (PLAIN, plain)):
        (folder / f"{origin}.zone").write_text(_zone(origin, records))
    anchor = _sign(folder)
    authority, resolver = free_port(), free_port()
    _start(processes, folder, "nsd", _nsd(folder, authority), authority)
    _start(processes, folder, "unbound", _unbound(folder, anchor, authority, resolver), resolver)
    return NameServers(("127.0.0.1", resolver), ("127.0.0.1", authority))


def _zone(origin: str, records: str) -> str:
    return (
        f"$ORIGIN {origin}.\n$TTL 300\n"
        f"@ IN SOA ns hostmaster 1 3600 900 86400 60\n@ IN NS ns\nns IN A 127.0.0.1\n{records}"
    )


def _sign(folder: Path) -> Path:
    """Signs the zone; returns its key as a trust anchor."""
    made = subprocess.run(
        ["ldns-keygen", "-a", "ECDSAP256SHA256", "-k", SIGNED],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    key = made.stdout.strip()
    subprocess.run(["ldns-signzone", f"{SIGNED}.zone", key], cwd=folder, check=True)
    return folder / f"{key}.key"


def _nsd(folder: Path, port: int) -> str:
    return f"""
server:
  ip-address: 127.0.0.1@{port}
  username: ""
  chroot: ""
  database: ""
  zonesdir: "{folder}"
  pidfile: "{folder}/nsd.pid"
  xfrdfile: "{folder}/xfrd.state"
  xfrdir: "{folder}"
  zonelistfile: "{folder}/zones.list"
  rrl-ratelimit: 0
  server-count: 1
remote-control:
  control-enable: no
zone:
  name: {SIGNED}
  zonefile: {SIGNED}.zone.signed
zone:
  name: {PLAIN}
  zonefile: {PLAIN}.zone
"""


def _unbound(folder: Path, anchor: Path, authority: int, port: int) -> str:
    stubs = "".join(
        f"stub-zone:\n  name: {zone}\n  stub-addr: 127.0.0.1@{authority}\n" for zone in (SIGNED, PLAIN)
    )
    return f"""
server:
  interface: 127.0.0.1
  port: {port}
  username: ""
  chroot: ""
  directory: "{folder}"
  pidfile: "{folder}/unbound.pid"
  do-not-query-localhost: no
  use-syslog: no
  num-threads: 1
  do-ip6: no
  module-config: "validator iterator"
  trust-anchor-file: "{anchor}"
  domain-insecure: "{PLAIN}"
  local-zone: "test." nodefault
  cache-max-ttl: 0
  cache-min-ttl: 0
  ede: yes
remote-control:
  control-enable: no
{stubs}"""


def _start(processes: Processes, folder: Path, name: str, text: str, port: int) -> None:
    config = folder / f"{name}.conf"
    config.write_text(text)
    environ = {"PATH": PATH}
    child = processes.start(name, [name, "-d", "-c", str(config)], env=environ, log=folder / f"{name}.log")
    child.wait_for(lambda: _answers(port), 10)


def _answers(port: int) -> bool | None:
    query = dns.message.make_query(f"ns.{SIGNED}", "A")
    with contextlib.suppress(OSError, dns.exception.DNSException):
        return dns.query.udp(query, "127.0.0.1", 0.5, port).rcode() == dns.rcode.NOERROR or None
    return None


def tlsa(usage: int, selector: int, matching: int, part: bytes) -> str:
    """A TLSA record for a certificate or key in DER."""
    data = {0: part, 1: hashlib.sha256(part).digest(), 2: hashlib.sha512(part).digest()}[matching]
    return f"{usage} {selector} {matching} {data.hex()}"
