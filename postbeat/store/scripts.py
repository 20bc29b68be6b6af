"""Runs the scripts of this package: each is read from its file once."""

from __future__ import annotations

from typing import Any

from redis.asyncio import Redis
from redis.commands.core import AsyncScript

from postbeat.store import keys


class Scripts:
    """Runs scripts by name."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._scripts: dict[str, AsyncScript] = {}

    async def run(self, name: str, names: list[str], values: list[Any]) -> Any:  # noqa: ANN401  as Redis answers
        """Runs ``name.lua`` on keys with values. Returns what the script returns."""
        script = self._scripts.get(name)
        if script is None:
            script = self._scripts[name] = self._redis.register_script(keys.script(name))
        return await script(keys=names, args=values)
