"""The tables of the reference page: its names and defaults, as they stand there."""

from __future__ import annotations

from typing import Any

# Table 1: what the monitor consists of. $ISHOME is where it is installed.
FILES = {
    "executable": "nco_m_smtp",
    "properties": "etc/props/smtp.props",
    "rules": "etc/rules/smtp.rules",
    "log": "log/smtp.log",
}

# Table 2: the fields of an element, with the defaults that are told there; ... is for those without one.
FIELDS: dict[str, Any] = {
    "server": ...,
    "description": ...,
    "port": 25,
    "securitytype": "NONE",
    "username": ...,
    "password": ...,
    "authenticationtype": "NONE",
    "sharedsecret": ...,
    "email": ...,
    "timeout": 30,
    "poll": 300,
    "failureretests": 0,
    "retestinterval": 10,
}

# Table 3: the elements of results.
ELEMENTS = (
    "authentication",
    "bytesPerSec",
    "bytesTransferred",
    "connectTime",
    "email",
    "lookupTime",
    "port",
    "responseTime",
    "security",
    "SSLHandshakeTime",
    "status",
    "uploadTime",
    "user",
)

# Table 4: the properties, with the defaults that are told there.
PROPERTIES: dict[str, Any] = {
    "MailMessage": ...,
    "Originator": "SMTP-Monitor",
    "SSLCertificateFile": ...,
    "SSLCipherSuite": "RC4:3DES:DES:+EXP",
    "SSLDisableTLS": 0,
    "SSLKeyFile": ...,
    "SSLKeyPassword": ...,
    "UseBody": 0,
}

SUBJECT = "SMTP Monitor Test Message"
