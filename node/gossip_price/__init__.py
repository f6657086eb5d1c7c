"""gossip-price: independent nodes agree on a price, sign it, and anyone can prove it."""

from __future__ import annotations

from typing import Final

__version__: Final = "0.1.0"
