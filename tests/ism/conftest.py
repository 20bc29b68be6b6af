from __future__ import annotations

from tests.cli.conftest import inside, postbeat
from tests.e2e.conftest import running

__all__ = ["inside", "postbeat", "running"]
