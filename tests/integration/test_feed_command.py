from __future__ import annotations

import signal
import subprocess
import sys

import httpx


def test_the_command_prints_its_url_first_and_sigterm_ends_it_with_exit_code_0() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "gossip_price", "feed", "--seed", "1", "--start", "ETH-USD=2000",
         "--volatility", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        answer = httpx.get(f"{url}/v2/exchange-rates?currency=ETH", trust_env=False, timeout=10)
        assert answer.json()["data"]["rates"]["USD"] == "2000"
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=10)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, output, errors) == (0, "", "")
