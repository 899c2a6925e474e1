"""examples/executor: calls that block overlap, and no worker is held meanwhile."""

import os
import pathlib
import re
import signal
import subprocess
import time
import unittest

import harness

SQUARES = "".join(f"{n} squared is {n * n}\n" for n in range(5))
LAST = r"5 calls of 1 s took (\d+\.\d) s; a coroutine ticked (\d+) times meanwhile\n"


class Executor(unittest.TestCase):
    def check(self, least, most, **env):
        """It takes `least` seconds at the least, and less than `most` at least once."""
        harness.patiently(lambda: self.check_once(least, most, env))

    def check_once(self, least, most, env):
        begin = time.monotonic()
        result = harness.run("executor", env=env)
        elapsed = time.monotonic() - begin
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertTrue(result.stdout.startswith(SQUARES), result.stdout)
        last = re.fullmatch(LAST, result.stdout[len(SQUARES):])
        self.assertTrue(last, result.stdout)
        self.assertGreaterEqual(float(last[1]), least)
        self.assertLessEqual(float(last[1]), elapsed + 0.1)
        self.assertLess(float(last[1]), most)
        self.assertGreater(int(last[2]), 5)

    def test_all_at_once(self):
        self.check(1.0, 4.0)

    def test_three_at_a_time(self):
        self.check(2.0, 5.0, SKUA_BLOCK_THREADS="3")

    @staticmethod
    def has_begun(pid):
        return any(name.read_text().startswith("skua-block")
                   for name in pathlib.Path(f"/proc/{pid}/task").glob("*/comm"))

    def test_ctrl_c(self):
        """Nothing is said about calls that were never made. It comes while the first ones run."""
        harness.patiently(self.check_ctrl_c)

    def check_ctrl_c(self):
        environment = {**os.environ, "SKUA_BLOCK_THREADS": "1"}
        process = subprocess.Popen([harness.program("executor")], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, env=environment)
        try:
            harness.wait_until(lambda: self.has_begun(process.pid), "a call begins")
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=harness.PATIENCE)
        finally:
            process.kill()
            process.communicate()
        self.assertEqual((process.returncode, out, err), (1, "", "executor: cancelled\n"))


if __name__ == "__main__":
    harness.main()
