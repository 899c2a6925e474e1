"""Valgrind's Memcheck on whole programs: it must end, and report nothing. --fair-sched, because its threads
take turns and a worker that looks for work would else keep the others out."""

import os
import shutil
import signal
import subprocess
import sys
import time
import unittest

import harness

VALGRIND = ["valgrind", "--quiet", "--error-exitcode=9", "--fair-sched=yes"]


class Valgrind(unittest.TestCase):
    def check(self, *command):
        for workers in "1", "2":
            with self.subTest(workers=workers):
                done = subprocess.run([*VALGRIND, *command], env={**os.environ, "SKUA_WORKERS": workers},
                                      capture_output=True, text=True, timeout=5 * harness.PATIENCE)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                self.assertNotRegex(done.stderr, r"==\d+== ")

    def test_hello(self):
        self.check(harness.program("hello"))

    def test_everything_that_orders(self):
        self.check(harness.program("sanitized_order"))

    def test_channels(self):
        self.check(harness.program("test_chan"))

    def test_it_ends_by_a_signal(self):
        server = subprocess.Popen([*VALGRIND, harness.program("echo"), "tcp:127.0.0.1:0"], stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL, env={**os.environ, "SKUA_WORKERS": "2"})
        try:
            end = time.monotonic() + harness.PATIENCE
            while "skua-" not in self.threads(server.pid) and time.monotonic() < end:
                time.sleep(0.05)
            time.sleep(1)
            server.send_signal(signal.SIGTERM)
            # By skua_run, or by the default action if it came before that had taken the signal.
            self.assertIn(server.wait(timeout=harness.PATIENCE), (0, -signal.SIGTERM))
        finally:
            server.kill()
            server.wait()

    @staticmethod
    def threads(pid):
        folder = f"/proc/{pid}/task"
        return " ".join(open(f"{folder}/{task}/comm", encoding="utf-8").read() for task in os.listdir(folder))


if __name__ == "__main__":
    if shutil.which("valgrind") is None:
        print("there is no valgrind")
        sys.exit(77)
    harness.main()
