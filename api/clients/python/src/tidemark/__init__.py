"""Record what retrieval returns, and ask what changed."""

from ._client import Operation, Tidemark
from ._sender import Counters
from ._server import TidemarkError

__all__ = ["Counters", "Operation", "Tidemark", "TidemarkError"]
