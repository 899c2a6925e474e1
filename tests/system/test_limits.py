"""Too few descriptors, and nothing to do: what a server then costs, and that it recovers."""

import re
import select
import socket
import threading
import time
import unittest

import harness
from harness import HttpClient, Server, request

CLIENTS = 100


class Descriptors(unittest.TestCase):
    def test_accept_waits_for_descriptors(self):
        """The EMFILE accept loop of joyent/libuv#690: no busy loop, one line, and it goes on."""
        for name in ["http_hello", "echo"]:
            # Those who are served may stay idle for ten seconds, and http_hello has no more patience.
            harness.patiently(lambda: self.starve(name))

    def starve(self, name):
        # Of the workers each needs some descriptors of its own; 8 of them do not fit 32.
        with Server(name, nofile=32, env={"SKUA_WORKERS": "1"}, stderr=None) as server:
            clients = [server.connect() for _ in range(CLIENTS)]
            for s in clients:
                s.sendall(request())
            harness.wait_until(lambda: len(self.find_answered(clients)) > 5, "some are served")
            time.sleep(0.5)
            served = self.find_answered(clients)
            waiting = [s for s in clients if s not in served]
            self.assertTrue(5 < len(served) < 32, len(served))
            cpu, waited, start = server.cpu_seconds(), server.waited_seconds(), time.monotonic()
            time.sleep(2)
            passed = time.monotonic() - start - (server.waited_seconds() - waited)
            self.assertLess(server.cpu_seconds() - cpu, 0.05 * passed, "of a core")
            self.check_line(server)
            for s in served:  # as clients go, others are taken in their place
                s.close()
            harness.wait_until(lambda: len(self.find_answered(waiting)) >= len(served),
                               "those that waited were served")
            for s in waiting:
                s.close()
            start = time.monotonic()
            with HttpClient(server) as client:
                client.send(request())
                self.assertTrue(client.socket.recv(1))
            self.assertLess(time.monotonic() - start, 1 / harness.SCALE)
            self.check_line(server)

    def find_answered(self, clients):
        """Those who have something to read, which stays there."""
        readable, _, _ = select.select(clients, [], [], 0)
        return [s for s in readable if s.recv(1, socket.MSG_PEEK)]

    def check_line(self, server):
        text = server.stderr()
        self.assertEqual(text.count("\n"), 1, text)
        self.assertRegex(text, r"^skua: .*(descriptor|EMFILE|RLIMIT_NOFILE|open files)")


class Idle(unittest.TestCase):
    def test_idle_costs_nothing(self):
        """Nobody wakes up for nothing: not alone, not with connections that only stay open."""
        with Server("http_hello") as server:
            harness.patiently(lambda: self.check_quiet(server, "no connections"))
            harness.patiently(lambda: self.check_quiet_with_clients(server))

    def check_quiet_with_clients(self, server):
        clients = [HttpClient(server) for _ in range(100)]
        try:
            for client in clients:
                self.assertEqual(client.get().status, 200)
            self.check_quiet(server, "100 connections")
        finally:
            for client in clients:
                client.close()

    def check_quiet(self, server, what):
        time.sleep(0.5)
        before, cpu = server.wakeups(), server.cpu_seconds()
        time.sleep(2)
        self.assertEqual(server.wakeups() - before, 0, what)
        self.assertLess(server.cpu_seconds() - cpu, 0.001, what)


class Churn(unittest.TestCase):
    def test_descriptor_numbers_come_again_quickly(self):
        """Descriptor reuse, as in libuv#826: short connections, each gets its own answer."""
        failures, visits = [], harness.scaled(1000)

        def visit(server, who):
            for i in range(visits):
                path = f"/{who}/{i}" if i % 2 else "/"
                with HttpClient(server) as client:
                    extra = "Connection: close\r\n" if i % 3 else ""
                    if client.get(path, extra=extra).status != (404 if i % 2 else 200):
                        failures.append(path)
                    if i % 5 == 0:
                        harness.abort(client.socket)

        with Server("http_hello") as server:
            threads = [threading.Thread(target=visit, args=[server, who]) for who in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(failures, [])
            out = server.stop()
            self.assertEqual(sum(map(int, re.findall(r"requests (\d+)", out))), 4 * visits)


if __name__ == "__main__":
    harness.main()
