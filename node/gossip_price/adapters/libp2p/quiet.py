"""Imports libp2p without letting it rearrange this process's logging.

Importing libp2p 0.8.1 clears the handlers of its logger and sets propagate to False; one of
its modules logs on the root logger, which installs a handler there. This module puts things
back, and lets through only what is critical: to libp2p a refused dial is an error with a
traceback, to us it is a counter. Whoever has set the level of `libp2p` before keeps it.
The folder's `__init__` imports this module first, so that it is before every other.
"""

from __future__ import annotations

import logging

_logger = logging.getLogger("libp2p")
_handlers, _level = list(_logger.handlers), _logger.level

import libp2p as _libp2p  # noqa: E402  # the state before is what has to be saved
import libp2p.network.connection.swarm_connection as _swarm_connection  # noqa: E402  # likewise

_logger.handlers[:] = _handlers
_logger.propagate = True
# WARNING is what libp2p itself sets, where somebody has imported it before us.
_logger.setLevel(_level if _level not in (logging.NOTSET, logging.WARNING) else logging.CRITICAL)
# The one module with a level of its own: a line every half minute.
logging.getLogger("libp2p.network.auto_connector").setLevel(logging.NOTSET)
# It calls logging.debug(…), the module's function: the root logger, through basicConfig().
_swarm_connection.logging = logging.getLogger("libp2p.network.connection")

new_host = _libp2p.new_host
