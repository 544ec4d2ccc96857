"""Record what retrieval returns, and ask what changed."""

from ._client import Operation, Tidemark
from ._server import TidemarkError
from ._settings import Counters

__all__ = ["Counters", "Operation", "Tidemark", "TidemarkError"]
