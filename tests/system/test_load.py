"""bench/system/load: what it counts, what it prints, and that it notices what is wrong."""

import contextlib
import json
import re
import signal
import socket
import subprocess
import threading
import time
import unittest

import harness
from harness import Server

KEYS = ["requests", "requests_per_s", "errors", "p50_us", "p99_us", "p999_us", "max_us",
        "duration_s"]


@contextlib.contextmanager
def serving(handler):
    """A server in threads of this process; handler(connection, number) for each connection."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)

    def handle(connection, number):
        with contextlib.suppress(OSError), connection:
            handler(connection, number)

    def accept():
        number = 0
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=handle, args=[connection, number], daemon=True).start()
                number += 1

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield "tcp:127.0.0.1:%d" % listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def load(*args):
    result = harness.run("load", "--json", *args)
    return result.returncode, json.loads(result.stdout)


class Good(unittest.TestCase):
    def test_json(self):
        with Server("http_hello") as server:
            harness.patiently(lambda: self.check_json(server))

    def check_json(self, server):
        code, result = load("--duration", "1", server.address)
        self.assertEqual((code, result["errors"]), (0, 0))
        for key in KEYS:
            self.assertIn(key, result)
        self.assertGreater(result["requests"], 1000 * harness.SCALE)
        self.assertAlmostEqual(result["duration_s"], 1, delta=0.5)
        self.assertAlmostEqual(result["requests_per_s"],
                               result["requests"] / result["duration_s"],
                               delta=result["requests_per_s"] / 100)
        self.assertTrue(0 < result["p50_us"] <= result["p99_us"] <= result["p999_us"]
                        <= result["max_us"], result)

    def test_counts_what_the_server_counts(self):
        """Replies that come more than five seconds after the end are not waited for."""
        harness.patiently(self.check_counts)

    def check_counts(self):
        with Server("http_hello") as server:
            requests = 0
            for args in [[], ["--pipeline", "16"], ["--connections", "200", "--workers", "2"]]:
                code, result = load("--duration", "0.5", *args, server.address)
                self.assertEqual((code, result["errors"]), (0, 0))
                requests += result["requests"]
            server.wait_until_clean()
            server.signal()
            _, out = server.wait()
            self.assertEqual(sum(map(int, re.findall(r"requests (\d+)", out))), requests)

    def test_slow(self):
        def ask():
            code, result = load("--duration", "0.5", "--path", "/slow", server.address)
            self.assertEqual((code, result["requests"]), (0, 64))
            self.assertGreater(result["p50_us"], 1e6)

        with Server("http_hello") as server:
            harness.patiently(ask)

    def test_echo_table(self):
        def ask():
            result = harness.run("load", "--echo", "--duration", "1.2", "--bytes", "1000",
                                 server.address)
            self.assertEqual(result.returncode, 0)
            for line in ["requests", "requests/s", "p50", "p90", "p99", "p99.9", "max", "errors"]:
                self.assertRegex(result.stdout, rf"(?m)^{re.escape(line)} +[\d.]+")
            self.assertRegex(result.stderr, r"^ *1 s +\d+ requests/s +64 connections +0 errors\n$")

        with Server("echo") as server:
            harness.patiently(ask)

    def test_server_that_ends_connections(self):
        """Connection: close, and a reply that ends with the stream: both are as it should be."""
        def handler(connection, number):
            connection.recv(1000)
            connection.sendall([b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
                                b"HTTP/1.0 200 OK\r\n\r\nuntil the end"][number % 2])

        def ask():
            code, result = load("--duration", "0.5", "--connections", "4", address)
            self.assertEqual((code, result["errors"]), (0, 0))
            self.assertGreater(result["requests"], 4)
            self.assertGreater(result["reconnects"], 0)

        with serving(handler) as address:
            harness.patiently(ask)

    def test_interrupt(self):
        """A second after its start, which is when it is at work."""
        with Server("http_hello") as server:
            harness.patiently(lambda: self.check_interrupt(server))

    def check_interrupt(self, server):
        process = subprocess.Popen([harness.program("load"), "--duration", "3600", server.address],
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            time.sleep(1)
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=harness.PATIENCE)
        finally:
            process.kill()
            process.communicate()
        self.assertEqual(process.returncode, 0)
        self.assertGreater(int(re.search(r"^requests +(\d+)", out, re.M)[1]), 100)


class Wrong(unittest.TestCase):
    def check(self, handler, kind, *args):
        def ask():
            code, result = load("--duration", "0.3", "--connections", "2", *args, address)
            self.assertEqual(code, 1)
            self.assertGreater(result["errors_by_kind"][kind], 0, result)
            self.assertEqual(result["errors"], sum(result["errors_by_kind"].values()))

        with serving(handler) as address:
            harness.patiently(ask)

    def test_refused(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            address = "tcp:127.0.0.1:%d" % s.getsockname()[1]
            harness.takes_less_than(3, lambda: self.check_refused(address))

    def check_refused(self, address):
        result = harness.run("load", address)
        self.assertEqual(result.returncode, 1)
        self.assertIn("no connection", result.stderr)
        self.assertRegex(result.stdout, r"(?m)^ +connect +64 +Connection refused$")

    def test_status(self):
        def ask():
            code, result = load("--duration", "0.3", "--path", "/nope", server.address)
            self.assertEqual((code, result["requests"]), (1, 0))
            self.assertEqual(result["errors"], result["errors_by_kind"]["status"])

        with Server("http_hello") as server:
            harness.patiently(ask)

    def test_status_among_good_ones(self):
        def handler(connection, number):
            for i in range(10**9):
                if not connection.recv(1000):
                    return
                status = b"500 Bad" if i == 5 else b"200 OK"
                connection.sendall(b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n\r\nok")

        self.check(handler, "status")

    def test_changing_replies(self):
        """Of other length, chunked, cut anywhere: all count, none is taken for another."""
        def handler(connection, number):
            for i in range(10**9):
                if not connection.recv(1000):
                    return
                reply = (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (i % 3)
                         + b"HTTP"[:i % 3])
                if i % 4 == 3:
                    reply = (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"
                             b"0\r\n\r\n")
                cut = i % len(reply)
                connection.sendall(reply[:cut])
                connection.sendall(reply[cut:])

        def ask():
            code, result = load("--duration", "0.5", "--connections", "2", address)
            self.assertEqual((code, result["errors"]), (0, 0), result)
            self.assertGreater(result["requests"], 100 * harness.SCALE)

        with serving(handler) as address:
            harness.patiently(ask)

    def test_not_http(self):
        self.check(lambda c, n: (c.recv(1000), c.sendall(b"hello\r\n\r\n"), c.recv(1)), "content")

    def test_more_than_asked_for(self):
        reply = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        self.check(lambda c, n: (c.recv(1000), c.sendall(reply * 2), c.recv(1)), "content")

    def test_closed(self):
        self.check(lambda c, n: c.recv(1000), "closed")

    def test_cut_in_the_middle(self):
        self.check(lambda c, n: (c.recv(1000), c.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx")), "closed")

    def test_never_answered(self):
        self.check(lambda c, n: time.sleep(2 * harness.PATIENCE), "timeout")

    def test_echo_of_something_else(self):
        def handler(connection, number):
            total = 0
            while data := bytearray(connection.recv(1 << 16)):
                if total <= 100000 < total + len(data):
                    data[100000 - total] ^= 1
                total += len(data)
                connection.sendall(data)

        self.check(handler, "content", "--echo", "--bytes", "5000")

    def test_usage(self):
        for args in [[], ["tcp:1.2.3.4:5", "more"], ["nowhere"], ["--connections", "0", "tcp:a"],
                     ["--connections", "10001", "tcp:a"], ["--pipeline", "x", "tcp:a"],
                     ["--duration", "-1", "tcp:a"], ["--duration", "nan", "tcp:a"],
                     ["--bytes", "", "tcp:a"], ["--path", "x", "tcp:a"], ["--workers", "1.5", "tcp:a"],
                     ["--path", "/a b", "tcp:a"], ["--fast", "tcp:a"]]:
            result = harness.run("load", *args)
            self.assertEqual((result.returncode, result.stdout), (2, ""), args)
            self.assertRegex(result.stderr, "^(load|/.*load): ")


if __name__ == "__main__":
    harness.main()
