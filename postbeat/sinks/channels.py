"""The channel of each type of sink."""

from __future__ import annotations

from postbeat.sinks.alertmanager import AlertmanagerChannel
from postbeat.sinks.channel import Channel
from postbeat.sinks.command import CommandChannel
from postbeat.sinks.config import (
    AlertmanagerSink,
    AnySink,
    CommandSink,
    EmailSink,
    JsonLinesSink,
    SlackSink,
    WebhookSink,
)
from postbeat.sinks.email import EmailChannel, Hosts
from postbeat.sinks.jsonlines import jsonlines_channel
from postbeat.sinks.slack import SlackChannel
from postbeat.sinks.webhook import WebhookChannel


def channel_of(sink: AnySink, helo_name: str, hosts: Hosts) -> Channel:
    """The way to a sink's receiver; ``hosts`` is as :class:`EmailChannel` asks for it."""
    match sink:
        case WebhookSink():
            return WebhookChannel(sink)
        case AlertmanagerSink():
            return AlertmanagerChannel(sink)
        case EmailSink():
            return EmailChannel(sink, helo_name, hosts)
        case SlackSink():
            return SlackChannel(sink)
        case CommandSink():
            return CommandChannel(sink)
        case JsonLinesSink():
            return jsonlines_channel(sink)
