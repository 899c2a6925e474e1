"""The examples that the tutorials of Python's coroutines begin with: what each prints, line by line.

A row of EXAMPLES is one example. Expected lines are compared as they stand; <n> and <s> stand for what
differs from run to run, a whole number and seconds or milliseconds. A tuple holds lines that come in
any order. "runs" is how often an example is run in which chance has a part. Sleeps never end early, so a
run has a shortest time; the longest is only there to tell things done at once from things done in turn,
or to notice that nothing moves. "timed": what it prints rests on sleeps that a machine which stops it
outlasts; then it is run again."""

import os
import re
import select
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

import harness

WORKERS = int(os.environ.get("SKUA_WORKERS", "2"))
TIMES = harness.scaled(1_000_000)
LONG_SECONDS = 2 * harness.PATIENCE  # everything here should take one or two

EXAMPLES = {
    "producer_consumer": {
        "lines": [line for n in range(1, 6)
                  for line in [f"[PRODUCER] Producing {n}...",
                               f"[CONSUMER] Consuming {n}...",
                               "[PRODUCER] Consumer return: 200 OK"]]},
    "switch": {
        "lines": ["12", "34", "56", "78"]},
    "joinall": {
        "lines": ["Running in foo",
                  "Explicit context to bar",
                  "Explicit context switch to foo again",
                  "Implicit context switch back to bar"],
        "runs": 20},
    "hello_twice": {
        "lines": ["Hello world! (worker <n>)",
                  "Hello world! (worker <n>)",
                  "Hello again! (worker <n>)",
                  "Hello again! (worker <n>)",
                  "both took <s> s"],
        "at_least": 1, "timed": True},
    "ten_sleeps": {
        "lines": ["ten sleeps of one second took <s> s"],
        "at_least": 1, "less_than": 10, "timed": True},
    "nested_await": {
        "lines": ["Compute 1 + 2 ...",
                  "1 + 2 = 3",
                  "Compute 3 + 4 ...",
                  "3 + 4 = 7, from a task"],
        "at_least": 0.2},
    "done_callback": {
        "lines": [tuple(f"callback: {x * 10}" for x in range(1, 6)),
                  "callbacks got 10 20 30 40 50",
                  "join got      10 20 30 40 50"],
        "at_least": 0.1},
    "call_later": {
        "lines": ["registering callbacks",
                  "callback 4 was called off",
                  "callback 3 invoked",
                  "callback 2 invoked",
                  "callback 1 invoked"],
        "at_least": 0.2, "timed": True},
    "balance": {
        "args": [str(TIMES)],
        "lines": [(f"{TIMES} changes by worker 0",
                   f"{TIMES} changes by worker {1 if WORKERS > 1 else 0}"),
                  "balance: 0"],
        "runs": 10},
    "pool_map": {
        "lines": ["[1, 4, 9, 16, 25, 36, 49, 64, 81, 100]"],
        "runs": 20},
}


def pattern(line):
    text = re.escape(line)
    return text.replace("<n>", r"\d+").replace("<s>", r"\d+\.\d+")


class Examples(unittest.TestCase):
    def check_lines(self, text, wanted):
        """text: all that was printed; wanted: lines, and tuples of lines in any order."""
        lines = text.splitlines()
        for group in wanted:
            group = group if isinstance(group, tuple) else (group,)
            got, lines = sorted(lines[:len(group)]), lines[len(group):]
            self.assertEqual(len(got), len(group), f"{group} is missing in: {text}")
            for line, expected in zip(got, sorted(group)):
                self.assertRegex(line, f"^{pattern(expected)}$", text)
        self.assertEqual(lines, [], text)

    def check_workers(self, text):
        for index in re.findall(r"worker (\d+)", text):
            self.assertLess(int(index), WORKERS, text)

    def run_example(self, name, *args, lines, at_least=0, less_than=LONG_SECONDS):
        start = time.monotonic()
        result = harness.run(name, *args, timeout=LONG_SECONDS)
        seconds = time.monotonic() - start
        self.assertEqual((result.returncode, result.stderr), (0, ""), result.stdout)
        self.check_lines(result.stdout, lines)
        self.check_workers(result.stdout)
        self.assertGreaterEqual(seconds, at_least)
        self.assertLess(seconds, less_than)
        return result.stdout

    def check_row(self, name):
        row = dict(EXAMPLES[name])
        args = row.pop("args", [])
        timed = row.pop("timed", False)
        for _ in range(harness.scaled(row.pop("runs", 1))):
            def run():
                self.run_example(name, *args, **row)

            harness.patiently(run) if timed else run()

    # Those that need something around them.

    def test_cancel_on_ctrl_c(self):
        process = subprocess.Popen([harness.program("cancel_on_ctrl_c")], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        try:
            ready, _, _ = select.select([process.stdout], [], [], LONG_SECONDS)
            self.assertTrue(ready, "it prints nothing")
            self.assertEqual(process.stdout.readline(), "100 sleep; press Ctrl-C\n")
            self.assertIsNone(process.poll())
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=LONG_SECONDS)
        finally:
            process.kill()
            process.communicate()
        self.assertEqual((process.returncode, out, err),
                         (130, "\n100 of 100 were cancelled\n", ""))

    FETCHED = [tuple(f"request {n}: HTTP/1.1 200 OK, 13 bytes" for n in range(1, 6)),
               "5 replies in <s> s"]

    def test_fetch(self):
        with harness.Server("http_hello") as server:
            self.run_example("fetch", server.address, lines=self.FETCHED, at_least=1)  # it has 30 s
        self.check_fetch_asks_at_once()
        self.check_fetch_from_nobody()

    def check_fetch_asks_at_once(self):
        """A server that answers nobody before all five have asked."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(LONG_SECONDS)

            def serve():
                clients = [listener.accept()[0] for _ in range(5)]
                for client in clients:
                    while b"\r\n\r\n" not in client.recv(1 << 16):
                        pass
                for client in clients:
                    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, slow!\n")
                    client.close()

            server = threading.Thread(target=serve, daemon=True)
            server.start()
            self.run_example("fetch", f"tcp:127.0.0.1:{listener.getsockname()[1]}",
                             lines=self.FETCHED)
            server.join(LONG_SECONDS)
            self.assertFalse(server.is_alive())

    def check_fetch_from_nobody(self):
        with socket.socket() as taken:  # a port at which nobody listens, nor will
            taken.bind(("127.0.0.1", 0))
            address = f"tcp:127.0.0.1:{taken.getsockname()[1]}"
            result = harness.run("fetch", address)
        self.assertEqual((result.returncode, result.stdout, result.stderr),
                         (1, "", f"fetch: {address}: Connection refused\n"))

    def check_write(self, *args):
        """It ticks meanwhile, unless the machine lets the whole of it be over at once."""
        def tick():
            out = self.run_example("big_write", *args,
                                   lines=["wrote 100 MB in <s> s",
                                          "<n> ticks of 1 ms, worst gap <s> ms"])
            self.assertGreater(int(re.search(r"(\d+) ticks", out)[1]), 0, out)

        harness.patiently(tick)

    def test_big_write(self):
        self.check_write()
        # In the build folder, where there is room: /tmp may be memory.
        with tempfile.TemporaryDirectory(dir=os.getcwd(), prefix="big_write-") as folder:
            path = os.path.join(folder, "file")
            self.check_write(path)
            self.assertEqual(os.path.getsize(path), 100_000_000)
            result = harness.run("big_write", folder)
            self.assertEqual((result.returncode, result.stdout), (1, ""))
            self.assertEqual(result.stderr, "big_write: Is a directory\n")
            for args in [["--help"], [path, path]]:
                result = harness.run("big_write", *args)
                self.assertEqual((result.returncode, result.stdout, result.stderr),
                                 (1, "", "usage: big_write [FILE]\n"))


def add_row(name):
    setattr(Examples, f"test_{name}", lambda self: self.check_row(name))


for example in EXAMPLES:
    add_row(example)

if __name__ == "__main__":
    harness.main()
