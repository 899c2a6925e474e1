"""examples/http_hello, spoken to by curl and by hand: one test per promise."""

import email.utils
import os
import random
import re
import select
import socket
import struct
import subprocess
import threading
import time
import unittest

import harness
from harness import HttpClient, request

HELLO = b"Hello, world!\n"
SLOW = b"Hello, slow!\n"
NOT_FOUND = b"Not found\n"
IDLE_SECONDS = 10
HEAD_MAX = 8192


def curl(server, path, *args, stdin=None):
    """Returns status, version as curl writes it ("1.1"), body and seconds."""
    result = subprocess.run(
        ["curl", "-sS", "--max-time", str(harness.PATIENCE), "-o", "-", "-w", "\n%{http_code} %{http_version} "
         "%{time_total}", *args, server.url + path], input=stdin, capture_output=True,
        timeout=2 * harness.PATIENCE)
    if result.returncode != 0:
        raise AssertionError(f"curl: {result.returncode} {result.stderr!r} {result.stdout!r}")
    body, _, last = result.stdout.rpartition(b"\n")
    status, version, seconds = last.decode().split()
    return int(status), version, body, float(seconds)


def head_of(size, in_target=False):
    """A request of exactly so many bytes, the empty line included."""
    start, end = b"GET /", b"\r\n\r\n"
    if in_target:
        return start + b"a" * (size - len(start) - len(b" HTTP/1.1") - 4) + b" HTTP/1.1" + end
    start += b" HTTP/1.1\r\nX: "
    return start + b"a" * (size - len(start) - 4) + end


def segments_received(s):
    """Segments with data that a TCP socket has got: tcpi_data_segs_in."""
    info = s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 160)
    return struct.unpack_from("I", info, 152)[0]


class Http(unittest.TestCase):
    """All share one server: what a test does to it must not harm the next."""

    @classmethod
    def setUpClass(cls):
        cls.server = harness.Server("http_hello")
        cls.addClassCleanup(cls.server.close)
        # Connections that will be idle while the tests run; test_zz_idle looks at them.
        cls.idle_ends = {}
        cls.idle_threads = [threading.Thread(target=cls.wait_for_end, args=[name])
                            for name in ["silent", "answered", "half head", "half body",
                                         "half head, in drops"]]
        for thread in cls.idle_threads:
            thread.start()

    @classmethod
    def wait_for_end(cls, name):
        """Notes how long such a connection lasts, and what comes at its end."""
        since = time.monotonic()  # the server's time begins later
        client = HttpClient(cls.server, timeout=IDLE_SECONDS + harness.PATIENCE)
        if name == "answered":
            client.get()
        elif name == "half head":
            client.send(b"GET / HTTP/1.1\r\nHos")
        elif name == "half body":
            client.send(request(method="POST", extra="Content-Length: 9\r\n") + b"x")
        elif name == "half head, in drops":
            client.send(b"GET / HTTP/1.1\r\nHos")
            while (not select.select([client.socket], [], [], 0.5)[0]
                   and time.monotonic() - since < IDLE_SECONDS + harness.PATIENCE):
                client.send(b"t")
        try:
            rest = harness.read_all(client.socket)
        except OSError as error:
            rest = repr(error).encode()
        cls.idle_ends[name] = (time.monotonic() - since, rest)
        client.close()

    @classmethod
    def tearDownClass(cls):
        for thread in cls.idle_threads:
            thread.join()
        out = cls.server.stop()
        lines = re.findall(r"^worker (\d+): requests (\d+) steals (\d+) wakeups (\d+)$", out, re.M)
        assert [int(line[0]) for line in lines] == list(range(len(lines))), out
        assert len(out.splitlines()) == len(lines), out
        workers = os.environ.get("SKUA_WORKERS")
        assert not workers or len(lines) == int(workers), out
        assert sum(int(line[1]) for line in lines) > 1000, out

    def check(self, reply, status, body):
        self.assertEqual((reply.status, reply.body), (status, body), reply)
        self.assertEqual(reply.version, "HTTP/1.1")

    def check_alive(self):
        with HttpClient(self.server) as client:
            self.check(client.get(), 200, HELLO)

    # By curl.

    def test_curl_routes(self):
        self.assertEqual(curl(self.server, "/")[:3], (200, "1.1", HELLO))
        self.assertEqual(curl(self.server, "/?a=b")[:3], (200, "1.1", HELLO))
        self.assertEqual(curl(self.server, "/nope")[:3], (404, "1.1", NOT_FOUND))

        def slow():
            status, _, body, seconds = curl(self.server, "/slow")
            self.assertEqual((status, body), (200, SLOW))
            self.assertGreaterEqual(seconds, 1)
            return seconds

        harness.takes_less_than(1.5, slow)

    def test_curl_versions(self):
        self.assertEqual(curl(self.server, "/", "--http1.0")[0], 200)
        self.assertEqual(curl(self.server, "/", "--http2")[:3], (200, "1.1", HELLO))

    def test_curl_head(self):
        status, _, headers, _ = curl(self.server, "/", "--head")
        self.assertEqual(status, 200)
        self.assertIn(b"Content-Length: 14\r\n", headers)

    def test_curl_bodies(self):
        data = random.Random(2).randbytes(300000)
        for args in [[], ["-H", "Transfer-Encoding: chunked"], ["-H", "Expect:"],
                     ["-H", "Expect: 100-continue"]]:
            def post():
                status, _, body, seconds = curl(self.server, "/", "--data-binary", "@-", *args,
                                                stdin=data)
                self.assertEqual((status, body), (200, HELLO), args)
                return seconds

            # curl waits a second for "100 Continue" before it sends the body all the same.
            harness.takes_less_than(0.9, post, args)

    # By hand: well-formed requests.

    def test_keep_alive(self):
        with HttpClient(self.server) as client:
            for _ in range(100):
                self.check(client.get(), 200, HELLO)
                self.check(client.get("/nope"), 404, NOT_FOUND)

    def test_head_has_no_body(self):
        with HttpClient(self.server) as client:
            for path, status in [("/", 200), ("/nope", 404)]:
                reply = client.get(path, "HEAD")
                self.assertEqual(reply.status, status)
                self.assertEqual(int(reply.headers["content-length"]),
                                 len(client.get(path).body))

    def test_date(self):
        with HttpClient(self.server) as client:
            dates = []
            for _ in range(12):
                before = time.time()
                date = client.get().headers["date"]
                after = time.time()
                self.assertRegex(date, r"^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$")
                sent = email.utils.parsedate_to_datetime(date).timestamp()
                self.assertTrue(before - 2 < sent < after + 2, (before, sent, after))
                dates.append(date)
                time.sleep(0.1)
            self.assertGreater(len(set(dates)), 1)

    def test_pipelining(self):
        """A thousand in one go, mixed; the answers keep the order."""
        wanted = []
        for i in range(1000):
            kind = i % 5
            wanted.append([(request("/"), 200, HELLO), (request(f"/{i}"), 404, NOT_FOUND),
                           (request("/", "HEAD"), 200, b""),
                           (request("/", "POST", "Content-Length: 7\r\n") + b"GET / H", 200, HELLO),
                           (request("/", "PUT", "Transfer-Encoding: chunked\r\n")
                            + b"3\r\nabc\r\n0\r\n\r\n", 200, HELLO)][kind])
        with HttpClient(self.server) as client:
            client.send(b"".join(sent for sent, _, _ in wanted))
            for sent, status, body in wanted:
                self.check(client.read(head=sent.startswith(b"HEAD")), status, body)

    def test_one_write_answers_all(self):
        """What one write sent, a loopback socket gets as one segment."""
        def answer(count):
            with HttpClient(self.server) as client:
                before = segments_received(client.socket)
                client.send(request() * count)
                for _ in range(count):
                    self.check(client.read(), 200, HELLO)
                self.assertEqual(segments_received(client.socket) - before, 1, count)

        for count in [1, 2, 16, 64]:  # TCP itself may send one again where the machine was stopped
            harness.patiently(lambda: answer(count))

    def test_half_close(self):
        with HttpClient(self.server) as client:
            client.send(request() + request("/slow") + request("/nope"))
            client.socket.shutdown(socket.SHUT_WR)
            self.check(client.read(), 200, HELLO)
            self.check(client.read(), 200, SLOW)
            self.check(client.read(), 404, NOT_FOUND)
            client.expect_end()

    def test_slow_keeps_the_order(self):
        def time_of_first():
            with HttpClient(self.server) as client:
                start = time.monotonic()
                client.send(request() + request("/slow") + request("/nope"))
                self.check(client.read(), 200, HELLO)
                seconds = time.monotonic() - start
                self.check(client.read(), 200, SLOW)
                self.check(client.read(), 404, NOT_FOUND)
                self.assertGreaterEqual(time.monotonic() - start, 1)
                return seconds

        harness.takes_less_than(0.5, time_of_first)

    def test_slow_ones_wait_together(self):
        def ask_all():
            clients = [HttpClient(self.server) for _ in range(200)]
            start = time.monotonic()
            for client in clients:
                client.send(request("/slow"))
            for client in clients:
                self.check(client.read(), 200, SLOW)
                client.close()
            return time.monotonic() - start

        harness.takes_less_than(2.5, ask_all)

    def test_http_1_0(self):
        with HttpClient(self.server) as client:
            client.send(request(version="1.0"))
            reply = client.read()
            self.check(reply, 200, HELLO)
            self.assertEqual(reply.headers["connection"], "close")
            client.expect_end()
        with HttpClient(self.server) as client:
            for _ in range(3):
                client.send(request(version="1.0", extra="Connection: keep-alive\r\n"))
                reply = client.read()
                self.check(reply, 200, HELLO)
                self.assertEqual(reply.headers["connection"], "keep-alive")
            client.send(request(version="1.0"))
            self.check(client.read(), 200, HELLO)
            client.expect_end()

    def test_connection_close(self):
        with HttpClient(self.server) as client:
            client.send(request() + request(extra="Connection: close\r\n") + request() * 1000)
            self.check(client.read(), 200, HELLO)
            reply = client.read()
            self.check(reply, 200, HELLO)
            self.assertEqual(reply.headers["connection"], "close")
            client.expect_end()

    def test_expect_continue(self):
        with HttpClient(self.server) as client:
            for chunked in [False, True]:
                kind = "Transfer-Encoding: chunked" if chunked else "Content-Length: 5"
                client.send(request() + request(method="PUT",
                                                extra=f"Expect: 100-continue\r\n{kind}\r\n"))
                self.check(client.read(), 200, HELLO)
                self.assertEqual(client.read().status, 100)
                client.send(b"5\r\nhello\r\n0\r\n\r\n" if chunked else b"hello")
                self.check(client.read(), 200, HELLO)
            client.send(request(method="PUT", extra="Expect: 100-continue\r\n"
                                "Content-Length: 5\r\n") + b"hello")
            self.check(client.read(), 200, HELLO)

    def test_large_body(self):
        with HttpClient(self.server) as client:
            size = 20 << 20
            client.send(request(method="POST", extra=f"Content-Length: {size}\r\n"))
            for _ in range(size >> 20):
                client.send(b"x" * (1 << 20))
            client.send(request("/nope"))
            self.check(client.read(), 200, HELLO)
            self.check(client.read(), 404, NOT_FOUND)

    def test_targets(self):
        with HttpClient(self.server) as client:
            for target, status in [("/?a", 200), ("http://host/", 200), ("http://host", 200),
                                   ("http://host/?a", 200), ("/a", 404), ("//", 404), ("*", 404),
                                   ("/slow/", 404), ("/" + "a" * 7000, 404),
                                   ("/?" + "a" * 7000, 200)]:
                self.assertEqual(client.get(target).status, status, target)

    def test_split_at_every_byte(self):
        data = (request() + request("/nope", "HEAD", "A: b\r\n")
                + request("/", "POST", "Content-Length: 4\r\n") + b"body"
                + request("/", "POST", "Transfer-Encoding: chunked\r\n")
                + b"3\r\nabc\r\n0\r\nTrailer: x\r\n\r\n" + request("/a"))
        wanted = [(False, 200), (True, 404), (False, 200), (False, 200), (False, 404)]

        def check_replies(client):
            self.assertEqual([client.read(head=head).status for head, _ in wanted],
                             [status for _, status in wanted])

        with HttpClient(self.server) as client:
            for byte in data:
                client.send(bytes([byte]))
            check_replies(client)
        for begin in range(1, len(data), 32):  # few: none is to become too old for the server
            clients = []
            for cut in range(begin, min(begin + 32, len(data))):
                clients.append((HttpClient(self.server), cut))
                clients[-1][0].send(data[:cut])
            time.sleep(0.05)  # so that the server has read the first pieces by themselves
            for client, cut in clients:
                client.send(data[cut:])
            for client, _ in clients:
                check_replies(client)
                client.close()

    # By hand: the limit, and what is not HTTP.

    def test_head_limit(self):
        for in_target in [False, True]:
            with HttpClient(self.server) as client:
                status = 404 if in_target else 200
                client.send(head_of(HEAD_MAX, in_target) * 3)
                for _ in range(3):
                    self.assertEqual(client.read().status, status)
                client.send(head_of(HEAD_MAX + 1, in_target))
                self.check(client.read(), 431, b"Request header fields too large\n")
                client.expect_end()

    def test_endless_head(self):
        """The 431 arrives although the client still sends much more, for a second."""
        def send_on():
            with HttpClient(self.server) as client:
                client.send(b"GET / HTTP/1.1\r\n" + b"Header: value\r\n" * 20000)
                reply = client.read()
                self.assertEqual((reply.status, reply.headers["connection"]), (431, "close"))
                client.expect_end()

        harness.patiently(send_on)

    def test_garbage(self):
        for garbage in [b"hello\r\n\r\n", b"\0", b"\x16\x03\x01\x02\0\1\0\1\xfc\3\3", b"GET\r\n\r\n",
                        b"GET /\r\n\r\n", b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
                        b"GET / HTTP/1.1\r\n\0: a\r\n\r\n", b"GET / HTTP/x.y\r\n\r\n",
                        b"GET  HTTP/1.1\r\n\r\n", b"get / HTTP/1.1\r\n\r\n",
                        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                        b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
                        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
                        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"]:
            for before in [b"", request()]:
                with self.subTest(garbage=garbage), HttpClient(self.server) as client:
                    client.send(before + garbage)
                    if before:
                        self.check(client.read(), 200, HELLO)
                    reply = client.read()
                    self.check(reply, 400, b"Bad request\n")
                    self.assertEqual(reply.headers["connection"], "close")
                    client.expect_end()

    def test_other_versions(self):
        with HttpClient(self.server) as client:
            client.send(request(version="2.0"))
            self.assertEqual(client.read().status, 505)
            client.expect_end()

    def test_noise(self):
        """Bytes at random, and requests with a few bytes changed: any answer, never a crash."""
        seed = random.Random(3)
        good = (request() + request("/nope", "HEAD") + request("/", "POST", "Content-Length: 4\r\n")
                + b"body" + request("/", "PUT", "Transfer-Encoding: chunked\r\n")
                + b"a\r\n0123456789\r\n0\r\n\r\n")
        for i in range(harness.scaled(500)):
            data = bytearray(good if i % 2 else seed.randbytes(seed.randrange(1, 5000)))
            for _ in range(seed.randrange(1, 8)):
                data[seed.randrange(len(data))] = seed.randrange(256)
            with self.server.connect() as s:
                try:
                    s.sendall(data)
                    s.shutdown(socket.SHUT_WR)
                    reply = harness.read_all(s)
                except ConnectionError:
                    continue
                self.assertTrue(reply == b"" or reply.startswith(b"HTTP/1.1 "), reply)
        self.check_alive()

    def test_clients_that_vanish(self):
        for i, data in enumerate([b"", b"GET", request(), request("/slow"), request() * 1000,
                                  request("/", "POST", "Content-Length: 99999\r\n") + b"x" * 5000,
                                  b"garbage\r\n\r\n"] * 15):
            s = self.server.connect()
            s.sendall(data)
            if i % 3 == 1:
                time.sleep(0.002)
            harness.abort(s)
        self.check_alive()

    def test_replies_nobody_reads(self):
        """The server stops reading instead of keeping replies, and goes on when they are read."""
        count = 60000
        data = request() * count
        with HttpClient(self.server) as client:
            for option in [socket.SO_SNDBUF, socket.SO_RCVBUF]:
                client.socket.setsockopt(socket.SOL_SOCKET, option, 1 << 16)
            sender = threading.Thread(target=client.send, args=[data])
            sender.start()
            time.sleep(1)
            rss_bytes = self.server.rss_bytes()
            self.assertTrue(sender.is_alive(), "the server took everything in")
            for _ in range(count):
                if client.read().status != 200:
                    self.fail("not 200")
            sender.join()
            self.assertLess(self.server.rss_bytes() - rss_bytes, 8 << 20)

    # Last, by its name.

    def test_zz_idle(self):
        def last_again(name):
            self.wait_for_end(name)
            return self.idle_ends[name][0]

        for thread in self.idle_threads:
            thread.join()
        for name in list(self.idle_ends):
            if self.idle_ends[name][0] >= IDLE_SECONDS + 2:
                harness.takes_less_than(IDLE_SECONDS + 2, lambda: last_again(name), name)
            seconds, rest = self.idle_ends[name]
            self.assertGreaterEqual(seconds, IDLE_SECONDS, name)
            if name.startswith("half"):
                self.assertTrue(rest.startswith(b"HTTP/1.1 408 Request Timeout\r\n"), rest)
            else:
                self.assertEqual(rest, b"", name)


if __name__ == "__main__":
    harness.main()
