"""examples/echo: every byte comes back once and in order, whatever the client does."""

import os
import random
import socket
import tempfile
import threading
import unittest

import harness


def exchange(s, data, pieces=None):
    """Sends data in a thread of its own and returns what comes back in the meantime."""
    def send():
        for piece in pieces or [data]:
            s.sendall(piece)
        s.shutdown(socket.SHUT_WR)

    sender = threading.Thread(target=send)
    sender.start()
    back = harness.read_all(s)
    sender.join()
    return back


class Echo(unittest.TestCase):
    def setUp(self):
        self.server = harness.Server("echo")
        self.addCleanup(self.server.close)

    def tearDown(self):
        if self.server.process.poll() is None:
            self.server.stop()

    def test_sizes(self):
        noise = random.Random(1).randbytes(1 << 20)
        for size in [0, 1, 2, 63, 64, 4095, 4096, 4097, 65536, 1000003, 1 << 20]:
            with self.server.connect() as s:
                self.assertTrue(exchange(s, noise[:size]) == noise[:size], size)

    def test_byte_by_byte(self):
        data = bytes(range(256))
        with self.server.connect() as s:
            self.assertEqual(exchange(s, data, [bytes([b]) for b in data]), data)

    def test_request_and_reply(self):
        with self.server.connect() as s:
            for i in range(harness.scaled(2000)):
                message = b"%d;" % i
                s.sendall(message)
                self.assertEqual(s.recv(100), message)

    def test_many_connections(self):
        clients = [self.server.connect() for _ in range(500)]
        for turn in range(3):
            for i, s in enumerate(clients):
                s.sendall(b"%d/%d" % (turn, i))
            for i, s in enumerate(clients):
                self.assertEqual(s.recv(100), b"%d/%d" % (turn, i))
        for s in clients:
            s.close()

    def test_half_close(self):
        with self.server.connect() as s:
            s.sendall(b"last words")
            s.shutdown(socket.SHUT_WR)
            self.assertEqual(harness.read_all(s), b"last words")

    def test_aborts(self):
        """A client that resets, before, while and after it sends, and one that never reads."""
        for i in range(200):
            s = self.server.connect()
            if i % 4:
                s.sendall(b"x" * (i * 300))
            if i % 4 == 2:
                s.recv(1)
            if i % 4 == 3:
                s.shutdown(socket.SHUT_WR)
            harness.abort(s)
        with self.server.connect() as s:
            self.assertEqual(exchange(s, b"still there"), b"still there")

    def test_load(self):
        for args in [["--bytes", "1"], ["--bytes", "100000", "--connections", "8"],
                     ["--pipeline", "16"]]:
            harness.patiently(lambda: self.check_load(args))

    def check_load(self, args):
        result = harness.run("load", "--echo", "--duration", "0.5", *args, self.server.address)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)


class Addresses(unittest.TestCase):
    def test_unix(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "echo")
            with harness.Server("echo", address="unix:" + path):
                with socket.socket(socket.AF_UNIX) as s:
                    s.settimeout(harness.PATIENCE)
                    s.connect(path)
                    self.assertEqual(exchange(s, b"by a path"), b"by a path")

    def test_ipv6(self):
        try:
            socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        except OSError:
            self.skipTest("no IPv6 here")
        with harness.Server("echo", address="tcp:[::1]:0") as server:
            with socket.create_connection(("::1", server.port), harness.PATIENCE) as s:
                self.assertEqual(exchange(s, b"six"), b"six")

    def test_bad_addresses(self):
        for name in ["echo", "http_hello"]:
            for address in ["", "foo", "tcp:", "tcp:127.0.0.1", "tcp:127.0.0.1:", "udp:1.2.3.4:5",
                            "tcp:127.0.0.1:65536", "tcp:127.0.0.1:8x", "tcp:[::1:80", "unix:"]:
                result = harness.run(name, address)
                self.assertEqual(result.returncode, 1, address)
                self.assertEqual(result.stdout, "")
                # The library's own line, about what is wrong in it, comes first.
                last = result.stderr.splitlines()[-1]
                self.assertTrue(last.startswith(f"{name}: cannot listen on '{address}': "), last)
                self.assertIn("expected tcp:HOST:PORT", last)

    def test_address_in_use(self):
        with harness.Server("echo") as server:
            result = harness.run("echo", server.address)
            self.assertEqual(result.returncode, 1)
            self.assertRegex(result.stderr, r"^echo: cannot listen on 'tcp:127.0.0.1:\d+': .*in use")


if __name__ == "__main__":
    harness.main()
