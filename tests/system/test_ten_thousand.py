"""Ten thousand connections at once on one worker, as two processes: server and load generator."""

import json
import os
import resource
import subprocess
import sys
import time
import unittest

import harness

CONNECTIONS = 10000
DESCRIPTORS = 10100


class TenThousand(unittest.TestCase):
    def test_http(self):
        self.check("http_hello", "--http")

    def test_echo(self):
        self.check("echo", "--echo")

    def check(self, name, mode):
        with harness.Server(name, env={"SKUA_WORKERS": "1"}) as server:
            load = subprocess.Popen(
                [harness.program("load"), mode, "--json", "--duration", "3", "--connections",
                 str(CONNECTIONS), server.address], stdout=subprocess.PIPE, text=True,
                env={**os.environ, "SKUA_WORKERS": "1"})
            try:
                most, end = 0, time.monotonic() + 60
                while load.poll() is None and time.monotonic() < end:
                    most = max(most, server.fd_count() - server.fds_before)
                    time.sleep(0.1)
                out, _ = load.communicate(timeout=1)
            finally:
                load.kill()
                load.wait()
            result = json.loads(out)
            print(result, file=sys.stderr)
            self.assertEqual((load.returncode, result["errors"]), (0, 0))
            self.assertEqual(result["reconnects"], 0)
            self.assertEqual(most, CONNECTIONS)
            self.assertGreaterEqual(result["requests"], CONNECTIONS)
            server.wait_until_clean(10)


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < DESCRIPTORS:
        print(f"skipped: the hard limit of descriptors is {hard}, and this needs {DESCRIPTORS}")
        sys.exit(77)
    harness.main()
