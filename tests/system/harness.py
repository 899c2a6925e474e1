"""What the system tests share: starting the examples, looking at them from outside, HTTP by hand.

CMake says where the programs are (SKT_HELLO, SKT_ECHO, ...) and which settings a run has
(SKUA_WORKERS, SKUA_CHAOS), which the programs inherit. SKT_SCALE below 1 shortens what is
counted, for sanitizer builds. Every server is ended by its process id, whatever happens."""

import contextlib
import os
import re
import resource
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

SCALE = float(os.environ.get("SKT_SCALE", "1"))
ATTEMPTS = 6  # of what depends on time
PATIENCE = 60  # seconds for what must happen, on a machine that may stop any process for some


def program(name):
    """The path of a built program, by the variable that CMake sets."""
    path = os.environ.get("SKT_" + name.upper())
    if not path:
        sys.exit(f"SKT_{name.upper()} is not set: run this by ctest")
    return path


def scaled(n):
    return max(1, int(n * SCALE))


def patiently(attempt):
    """Repeats what measures time, or runs against a deadline of the program's own, until it succeeds: the
    machine may have stopped a process meanwhile. Only a few times, and for a minute: what is broken fails
    each time, and what fails now and then should not hide here."""
    end = time.monotonic() + PATIENCE
    for left in reversed(range(ATTEMPTS)):
        try:
            return attempt()
        except (AssertionError, OSError, EOFError) as error:
            if left == 0 or time.monotonic() > end:
                raise
            print(f"once more, after: {error!r}", file=sys.stderr)


def takes_less_than(limit, attempt, what=""):
    """attempt() returns seconds, or does what is timed; it takes less than limit at least once."""
    def check():
        start = time.monotonic()
        result = attempt()
        seconds = time.monotonic() - start if result is None else result
        if seconds >= limit:
            raise AssertionError(f"{what}: {seconds} s, not less than {limit}")

    patiently(check)


def wait_until(condition, what, seconds=PATIENCE):
    """Polls until condition() is true; fails after so many seconds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what() if callable(what) else what}")
        time.sleep(0.01)


def run(name, *args, env=None, timeout=2 * PATIENCE, prefix=(), **popen):
    """Runs a program to its end; returns the CompletedProcess, with text streams."""
    return subprocess.run([*prefix, program(name), *args], env={**os.environ, **(env or {})},
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=timeout, **popen)


class Server:
    """A running example. As a context manager it is stopped and looked over at the end."""

    def __init__(self, name, *, env=None, nofile=None, address="tcp:127.0.0.1:0", stderr=""):
        self.name = name
        self.stderr_wanted = stderr  # a regular expression for the whole, or None: do not look
        self.stderr_file = tempfile.TemporaryFile("w+")

        def limit():
            if nofile:
                resource.setrlimit(resource.RLIMIT_NOFILE, (nofile, nofile))

        self.process = subprocess.Popen(
            [program(name), address], env={**os.environ, **(env or {})}, stdout=subprocess.PIPE,
            stderr=self.stderr_file, text=True, preexec_fn=limit if nofile else None)
        self.pid = self.process.pid
        try:
            self._wait_until_ready()
        except BaseException:
            self.close()
            raise

    def _wait_until_ready(self):
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
        line = self.process.stdout.readline() if ready else f"nothing within {PATIENCE} s"
        found = re.fullmatch(r"listening on (tcp:127\.0\.0\.1:(\d+)|tcp:\[::1\]:(\d+)|unix:.+)\n",
                             line)
        if not found:
            raise AssertionError(f"{self.name} printed {line!r}; stderr: {self.stderr()!r}")
        self.address = found[1]
        self.port = int(found[2] or found[3] or 0)
        self.url = f"http://127.0.0.1:{self.port}"
        self.fds_before = self.fd_count()
        self.threads_before = self.thread_count()

    # Looking at it from outside.

    def stderr(self):
        self.stderr_file.seek(0)
        return self.stderr_file.read()

    def fd_count(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def thread_count(self):
        return len(os.listdir(f"/proc/{self.pid}/task"))

    def cpu_seconds(self):
        """All threads together; each one's schedstat begins with nanoseconds on a CPU."""
        return sum(int(text.split()[0]) for text in self._of_threads("schedstat")) / 1e9

    def waited_seconds(self):
        """How long its threads have waited for a CPU: on a busy machine a busy loop gets little of one,
        and is found by the time in which it did not wait."""
        return sum(int(text.split()[1]) for text in self._of_threads("schedstat")) / 1e9

    def wakeups(self):
        return sum(int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", text, re.M)[1])
                   for text in self._of_threads("status"))

    def rss_bytes(self):
        with open(f"/proc/{self.pid}/status") as file:
            return int(re.search(r"^VmRSS:\s+(\d+)", file.read(), re.M)[1]) * 1024

    def _of_threads(self, what):
        for thread in os.listdir(f"/proc/{self.pid}/task"):
            with contextlib.suppress(FileNotFoundError):
                with open(f"/proc/{self.pid}/task/{thread}/{what}") as file:
                    yield file.read()

    # Talking to it.

    def connect(self, timeout=PATIENCE):
        s = socket.create_connection(("127.0.0.1", self.port), timeout)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return s

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    # Ending it.

    def wait_until_clean(self):
        """Every client is gone: its descriptors and threads are to be what they were."""
        wait_until(lambda: self.fd_count() <= self.fds_before,
                   lambda: f"descriptors: {self.fd_count()}, before {self.fds_before}")
        wait_until(lambda: self.thread_count() <= self.threads_before,
                   lambda: f"threads: {self.thread_count()}, before {self.threads_before}")

    def wait(self, seconds=PATIENCE):
        """Waits for the end; returns the exit code and what was printed after "listening"."""
        try:
            out, _ = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not end within {seconds} s; "
                                 f"stderr: {self.stderr()!r}")
        return self.process.returncode, out

    def stop(self):
        self.wait_until_clean()
        self.signal()
        code, out = self.wait()
        if code != 0:
            raise AssertionError(f"{self.name} ended with {code}; stderr: {self.stderr()!r}")
        self.check_stderr()
        return out

    def check_stderr(self):
        text = self.stderr()
        if self.stderr_wanted is not None and not re.fullmatch(self.stderr_wanted, text):
            raise AssertionError(f"{self.name} wrote on standard error: {text!r}")

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def close(self):
        self.kill()
        self.stderr_file.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        try:
            if kind is None and self.process.poll() is None:
                self.stop()
        finally:
            self.close()


def abort(s):
    """Closes a socket by a reset."""
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    s.close()


def read_all(s):
    """What comes until the peer ends."""
    parts = []
    while data := s.recv(1 << 16):
        parts.append(data)
    return b"".join(parts)


class Reply:
    def __init__(self, status, version, headers, body):
        self.status, self.version, self.headers, self.body = status, version, headers, body

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body!r}>"


class HttpClient:
    """One connection. Strict: whatever is not a well-formed reply fails."""

    def __init__(self, server, timeout=PATIENCE):
        self.socket = server.connect(timeout)
        self.buffer = b""

    def send(self, data):
        self.socket.sendall(data)

    def read(self, head=False):
        """The next reply; head: it answers a HEAD, so no body follows."""
        while b"\r\n\r\n" not in self.buffer:
            self._more()
        text, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        lines = text.decode("ascii").split("\r\n")
        start = re.fullmatch(r"(HTTP/1\.[01]) (\d{3}) [A-Za-z ]+", lines[0])
        if not start:
            raise AssertionError(f"not a status line: {lines[0]!r}")
        headers = {}
        for line in lines[1:]:
            key, value = line.split(": ", 1)
            if key.lower() in headers:
                raise AssertionError(f"twice: {key}")
            headers[key.lower()] = value
        status = int(start[2])
        length = 0 if status == 100 else int(headers["content-length"])
        while len(self.buffer) < length and not head:
            self._more()
        body = b"" if head else self.buffer[:length]
        self.buffer = self.buffer[len(body):]
        return Reply(status, start[1], headers, body)

    def get(self, path="/", method="GET", extra=""):
        self.send(request(path, method, extra))
        return self.read(head=method == "HEAD")

    def _more(self):
        data = self.socket.recv(1 << 16)
        if not data:
            raise EOFError(f"the server ended the connection; left: {self.buffer!r}")
        self.buffer += data

    def expect_end(self):
        """Nothing more comes but the end of the stream."""
        rest = self.buffer + read_all(self.socket)
        if rest:
            raise AssertionError(f"more came: {rest[:200]!r}")
        self.close()

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def request(path="/", method="GET", extra="", version="1.1"):
    return f"{method} {path} HTTP/{version}\r\nHost: test\r\n{extra}\r\n".encode()


def main():
    unittest.main(verbosity=2)
