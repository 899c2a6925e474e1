"""examples/hello: it says hello from every coroutine, ends by itself and with success."""

import re
import unittest

import harness


class Hello(unittest.TestCase):
    def test_prints(self):
        for _ in range(harness.scaled(20)):
            result = harness.run("hello")
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            lines = result.stdout.splitlines()
            self.assertEqual(lines[-1], "everybody has said hello")
            names = [re.fullmatch(r"hello from ([abc]) \(worker \d+\)", line)[1]
                     for line in lines[:-1]]
            self.assertEqual(sorted(names), ["a", "a", "b", "b", "c", "c"])


if __name__ == "__main__":
    harness.main()
