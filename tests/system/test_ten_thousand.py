"""Ten thousand connections at once on one worker, as two processes: server and load generator.
SKT_LIVE_MOST: fewer, where a sanitizer has room for so many coroutines only."""

import json
import os
import resource
import socket
import subprocess
import sys
import time
import unittest

import harness

CONNECTIONS = min(10000, int(os.environ.get("SKT_LIVE_MOST", "10000")))
DESCRIPTORS = CONNECTIONS + 100


class TenThousand(unittest.TestCase):
    # What the load generator asks for comes within its time, and before http_hello takes its
    # connections for silent ones.
    def test_http(self):
        harness.patiently(lambda: self.check("http_hello", "--http"))

    def test_echo(self):
        harness.patiently(lambda: self.check("echo", "--echo"))

    def test_held(self):
        """All are open at once: held from here, counted in the server, and each echoes."""
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        with harness.Server("echo", env={"SKUA_WORKERS": "1"}) as server:
            host, port = server.address.removeprefix("tcp:").rsplit(":", 1)
            held = []
            try:
                for _ in range(CONNECTIONS):
                    held.append(socket.create_connection((host, int(port)), timeout=2 * harness.PATIENCE))
                end = time.monotonic() + harness.PATIENCE
                while (server.fd_count() - server.fds_before < CONNECTIONS
                       and time.monotonic() < end):
                    time.sleep(0.1)
                self.assertEqual(server.fd_count() - server.fds_before, CONNECTIONS)
                for i, sock in enumerate(held):
                    sock.sendall(i.to_bytes(4, "big"))
                for i, sock in enumerate(held):
                    self.assertEqual(sock.recv(4, socket.MSG_WAITALL), i.to_bytes(4, "big"))
            finally:
                for sock in held:
                    sock.close()
            server.wait_until_clean()

    def check(self, name, mode):
        with harness.Server(name, env={"SKUA_WORKERS": "1"}) as server:
            load = subprocess.Popen(
                [harness.program("load"), mode, "--json", "--duration", "3", "--connections",
                 str(CONNECTIONS), server.address], stdout=subprocess.PIPE, text=True,
                env={**os.environ, "SKUA_WORKERS": "1"})
            try:
                out, _ = load.communicate(timeout=3 * harness.PATIENCE)
            finally:
                load.kill()
                load.wait()
            result = json.loads(out)
            print(result, file=sys.stderr)
            self.assertEqual((load.returncode, result["errors"]), (0, 0))
            self.assertEqual(result["reconnects"], 0)
            self.assertGreaterEqual(result["requests"], CONNECTIONS)
            server.wait_until_clean()


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < DESCRIPTORS:
        print(f"skipped: the hard limit of descriptors is {hard}, and this needs {DESCRIPTORS}")
        sys.exit(77)
    harness.main()
