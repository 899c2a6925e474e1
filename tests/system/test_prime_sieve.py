"""examples/prime_sieve: the first N primes, one a line."""

import unittest

import harness


def primes(count):
    found = []
    candidate = 2
    while len(found) < count:
        if all(candidate % p for p in found):
            found.append(candidate)
        candidate += 1
    return found


class PrimeSieve(unittest.TestCase):
    def check(self, count, *args):
        result = harness.run("prime_sieve", *args)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertEqual([int(line) for line in result.stdout.splitlines()], primes(count))

    def test_primes(self):
        self.check(10)
        self.check(1, "1")
        for _ in range(harness.scaled(20)):
            self.check(25, "25")

    def test_long_chain(self):
        count = harness.scaled(500)
        self.check(count, str(count))

    def test_bad_counts(self):
        for args in [["0"], ["-3"], ["ten"], [""], ["3", "4"]]:
            result = harness.run("prime_sieve", *args)
            self.assertEqual((result.returncode, result.stdout), (1, ""), args)
            self.assertEqual(result.stderr, "usage: prime_sieve [N]\n")


if __name__ == "__main__":
    harness.main()
