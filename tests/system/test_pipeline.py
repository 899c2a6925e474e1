"""examples/pipeline: it counts the words of a file as wc -w does, wherever the chunks end."""

import os
import random
import subprocess
import tempfile
import unittest

import harness

TEXT_BYTES = 100_000_000
CHUNK_BYTES = 64 * 1024  # what the example counts at once
WHITE = [b" ", b" ", b" ", b"  ", b"\n", b"\n\n", b"\t", b"\r\n", b"\v", b"\f"]


def words_by_wc(path):
    done = subprocess.run(["wc", "-w", path], env={**os.environ, "LC_ALL": "C"}, check=True,
                          stdout=subprocess.PIPE, text=True, timeout=4 * harness.PATIENCE)
    return int(done.stdout.split()[0])


def block(generator):
    """Some 600 KB of words. They end elsewhere in each chunk, for the lengths are odd."""
    parts = []
    for _ in range(100_003):
        parts.append(b"abcdefghijklmnopqrstuvwxyz.,-0123456789"[:generator.randint(1, 39)]
                     [-generator.randint(1, 8):])
        parts.append(generator.choice(WHITE))
    return b"".join(parts)


class Pipeline(unittest.TestCase):
    def setUp(self):
        # In the build folder, where there is room: /tmp may be memory.
        folder = tempfile.TemporaryDirectory(dir=os.getcwd(), prefix="pipeline-")
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "text")

    def write(self, *parts):
        with open(self.path, "wb") as file:
            for part in parts:
                file.write(part)

    def check_against_wc(self):
        result = harness.run("pipeline", self.path, timeout=4 * harness.PATIENCE)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertEqual(int(result.stdout), words_by_wc(self.path))

    def test_long_text(self):
        text = block(random.Random(20351))
        self.write(*[text] * (harness.scaled(TEXT_BYTES) // len(text) + 1))
        self.assertGreaterEqual(os.path.getsize(self.path), harness.scaled(TEXT_BYTES))
        self.check_against_wc()

    def test_small_texts(self):
        for text in [b"", b" ", b"\n", b"x", b" x", b"x ", b"two words", b"\t two\n\n words \n"]:
            self.write(text)
            self.check_against_wc()

    def test_words_at_the_border_of_chunks(self):
        """A word that ends before it, at it, after it, that begins at it, that is longer than two."""
        for before in [CHUNK_BYTES - 2, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1]:
            for text in [b"x" * before + b" y", b" " * before + b"y", b"x " * (before // 2) + b"yz",
                         b"x" * (before + CHUNK_BYTES) + b" " * before + b"end"]:
                self.write(text)
                self.check_against_wc()

    def test_what_cannot_be_read(self):
        for args in [[], [self.path], [os.path.dirname(self.path)], ["a", "b"]]:
            result = harness.run("pipeline", *args)
            self.assertEqual((result.returncode, result.stdout), (1, ""), args)
            self.assertRegex(result.stderr, r"^pipeline: .+; usage: pipeline FILE\n$")


if __name__ == "__main__":
    harness.main()
