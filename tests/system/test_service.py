"""The servers as services: under wrk, ended by signals, with clients that break off."""

import re
import signal
import subprocess
import time
import unittest

import harness
from harness import HttpClient, Server, request


class Wrk(unittest.TestCase):
    def wrk(self, server, *args):
        result = subprocess.run(["wrk", "-t1", "-d1s", *args], capture_output=True, text=True,
                                timeout=30)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertNotIn("Socket errors", result.stdout)
        self.assertNotIn("Non-2xx", result.stdout)
        return int(re.search(r"(\d+) requests in", result.stdout)[1])

    def test_no_errors(self):
        with Server("http_hello") as server:
            for args in [["-c64", server.url + "/"], ["-c500", server.url + "/"],
                         ["-c1", "-H", "Connection: close", server.url + "/"]]:
                self.assertGreater(self.wrk(server, *args), 100)
            server.wait_until_clean()
            server.signal()
            code, out = server.wait(10)
            self.assertEqual(code, 0)
            served = re.findall(r"^worker \d+: requests (\d+) steals \d+ wakeups \d+$", out, re.M)
            self.assertGreater(sum(map(int, served)), 300)


class Ending(unittest.TestCase):
    def test_at_once_when_nobody_is_there(self):
        """However early the signal comes: "listening" promises that it is handled."""
        for turn in range(10):
            for name in ["echo", "http_hello"]:
                with Server(name) as server:
                    server.signal(signal.SIGINT if turn % 2 else signal.SIGTERM)
                    start = time.monotonic()
                    self.assertEqual(server.wait(10)[0], 0)
                    self.assertLess(time.monotonic() - start, 0.5 / harness.SCALE)
                    server.check_stderr()

    def test_requests_that_run_are_answered(self):
        with Server("http_hello") as server:
            clients = [HttpClient(server) for _ in range(20)]
            for client in clients:
                client.send(request("/slow", extra="Connection: close\r\n"))
            time.sleep(0.3)
            server.signal()
            for client in clients:
                self.assertEqual(client.read().status, 200)
                client.expect_end()
            code, out = server.wait(5)
            self.assertEqual(code, 0)
            self.assertEqual(sum(map(int, re.findall(r"requests (\d+)", out))), 20)
            server.check_stderr()

    def test_the_drain_ends(self):
        """Connections that just stay open are cut when the drain time is over; nothing new is taken."""
        for name, drain in [("echo", 1), ("http_hello", 2)]:
            with Server(name) as server:
                clients = [server.connect() for _ in range(20)]
                clients[0].sendall(b"GET")
                time.sleep(0.1)
                start = time.monotonic()
                server.signal()
                self.assertEqual(server.wait(drain + 5)[0], 0)
                self.assertGreater(time.monotonic() - start, drain - 0.2)
                self.assertLess(time.monotonic() - start, drain + 1 / harness.SCALE)
                for client in clients:
                    client.close()
                server.check_stderr()

    def test_second_signal(self):
        for first, second in [(signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGTERM)]:
            with Server("http_hello") as server:
                client = HttpClient(server)
                client.get()
                server.signal(first)
                time.sleep(0.2)
                self.assertIsNone(server.process.poll())
                start = time.monotonic()
                server.signal(second)
                code, _ = server.wait(5)
                self.assertNotEqual(code, 0)
                self.assertLess(time.monotonic() - start, 0.5 / harness.SCALE)
                client.close()


class BrokenPipes(unittest.TestCase):
    def test_sigpipe_does_not_kill(self):
        """Clients that are gone when the reply is written, with SIGPIPE's default action."""
        with Server("http_hello") as server:  # subprocess restores what Python ignores
            for i in range(50):
                s = server.connect()
                s.sendall(request("/slow") + request() * 200)
                if i % 2:
                    harness.abort(s)
                else:
                    s.close()
            time.sleep(1.3)
            with HttpClient(server) as client:
                self.assertEqual(client.get().status, 200)


if __name__ == "__main__":
    harness.main()
