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
        result = subprocess.run(["wrk", "-t1", "-d1s", f"--timeout={harness.PATIENCE}s", *args],
                                capture_output=True, text=True, timeout=2 * harness.PATIENCE)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertNotIn("Socket errors", result.stdout)
        self.assertNotIn("Non-2xx", result.stdout)
        return int(re.search(r"(\d+) requests in", result.stdout)[1])

    def test_no_errors(self):
        total = 0
        with Server("http_hello") as server:
            for args in [["-c64", server.url + "/"], ["-c500", server.url + "/"],
                         ["-c1", "-H", "Connection: close", server.url + "/"]]:
                requests, end = 0, time.monotonic() + harness.PATIENCE
                while requests <= 100 and time.monotonic() < end:
                    requests += self.wrk(server, *args)
                self.assertGreater(requests, 100)
                total += requests
            server.wait_until_clean()
            server.signal()
            code, out = server.wait()
            self.assertEqual(code, 0)
            served = re.findall(r"^worker \d+: requests (\d+) steals \d+ wakeups \d+$", out, re.M)
            self.assertGreaterEqual(sum(map(int, served)), total)


class Ending(unittest.TestCase):
    def test_at_once_when_nobody_is_there(self):
        """However early the signal comes: "listening" promises that it is handled."""
        def time_to_end(name, signo):
            with Server(name) as server:
                server.signal(signo)
                start = time.monotonic()
                self.assertEqual(server.wait()[0], 0)
                seconds = time.monotonic() - start
                server.check_stderr()
                return seconds

        for name in ["echo", "http_hello"]:
            for signo in [signal.SIGINT, signal.SIGTERM]:
                times = [time_to_end(name, signo) for _ in range(4)]
                if min(times) >= 0.5 / harness.SCALE:
                    harness.takes_less_than(0.5 / harness.SCALE, lambda: time_to_end(name, signo))

    def test_requests_that_run_are_answered(self):
        """All within the server's drain time, which is two seconds."""
        harness.patiently(self.check_requests_that_run)

    def check_requests_that_run(self):
        with Server("http_hello") as server:
            clients = [HttpClient(server) for _ in range(20)]
            for client in clients:
                client.send(request("/slow", extra="Connection: close\r\n"))
            harness.wait_until(lambda: server.fd_count() >= server.fds_before + 20, "accepted")
            time.sleep(0.3)
            server.signal()
            for client in clients:
                self.assertEqual(client.read().status, 200)
                client.expect_end()
            code, out = server.wait()
            self.assertEqual(code, 0)
            self.assertEqual(sum(map(int, re.findall(r"requests (\d+)", out))), 20)
            server.check_stderr()

    def test_the_drain_ends(self):
        """Connections that just stay open are cut when the drain time is over; nothing new is taken."""
        for name, drain in [("echo", 1), ("http_hello", 2)]:
            harness.takes_less_than(drain + 1 / harness.SCALE, lambda: self.drain(name, drain), name)

    def drain(self, name, least):
        with Server(name) as server:
            clients = [server.connect() for _ in range(20)]
            clients[0].sendall(b"GET")
            harness.wait_until(lambda: server.fd_count() >= server.fds_before + 20, "accepted")
            start = time.monotonic()
            server.signal()
            self.assertEqual(server.wait()[0], 0)
            seconds = time.monotonic() - start
            self.assertGreaterEqual(seconds, least)
            for client in clients:
                client.close()
            server.check_stderr()
            return seconds

    def test_second_signal(self):
        for first, second in [(signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGTERM)]:
            harness.takes_less_than(0.5 / harness.SCALE, lambda: self.end_at_once(first, second))

    def end_at_once(self, first, second):
        """The second signal comes within the drain time, and ends that."""
        with Server("http_hello") as server:
            client = HttpClient(server)
            client.get()
            server.signal(first)
            time.sleep(0.2)
            self.assertIsNone(server.process.poll())
            start = time.monotonic()
            server.signal(second)
            code, _ = server.wait()
            seconds = time.monotonic() - start
            self.assertNotEqual(code, 0)
            client.close()
            return seconds


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
            server.wait_until_clean()  # all of them have tried
            with HttpClient(server) as client:
                self.assertEqual(client.get().status, 200)


if __name__ == "__main__":
    harness.main()
