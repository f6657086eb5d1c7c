"""A test node in a process of its own, to be stopped and killed.

Run as `python p2p_process.py NUMBER BOOTSTRAP`: prints its address, then lives until killed.
"""

from __future__ import annotations

import asyncio
import sys

from p2p_network import run_node


async def main(number: int, bootstrap: str) -> None:
    """Run one node until the process is killed."""
    async with run_node(number, bootstrap=(bootstrap,)) as node:
        print(node.address, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
