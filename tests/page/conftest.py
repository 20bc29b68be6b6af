from __future__ import annotations

from tests.cli.conftest import inside, postbeat

__all__ = ["inside", "postbeat"]
