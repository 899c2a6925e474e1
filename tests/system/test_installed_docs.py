"""cmake --install puts the documentation and the examples beside the library: their links hold, and an
example is built by the line that the README shows."""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

BUILD = os.environ["SKT_BUILD_DIR"]
CC = os.environ["SKT_CC"]
SANITIZED = os.environ["SKT_SANITIZED"] != ""


class Installed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.prefix = pathlib.Path(tempfile.mkdtemp(prefix="skua-installed-"))
        cls.addClassCleanup(shutil.rmtree, cls.prefix)
        subprocess.run(["cmake", "--install", BUILD, "--prefix", cls.prefix], check=True,
                       stdout=subprocess.DEVNULL)
        cls.doc = cls.prefix / "share/doc/skua"

    def test_links(self):
        pages = [self.doc / "README.md", *(self.doc / "docs").rglob("*.md")]
        self.assertGreater(len(pages), 10)
        for page in pages:
            for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
                if not (page.parent / link).exists():
                    self.assertIn("include/skua", link, f"{page}: {link}")

    def test_example(self):
        if SANITIZED:
            self.skipTest("a program needs the sanitizers of the library")
        if shutil.which("pkg-config") is None:
            self.skipTest("pkg-config is missing")
        library = next(self.prefix.rglob("skua.pc")).parent
        env = dict(os.environ, PKG_CONFIG_PATH=str(library))
        flags = subprocess.run(["pkg-config", "--cflags", "--libs", "skua"], env=env, check=True,
                               capture_output=True, text=True).stdout.split()
        program = self.prefix / "hello"
        subprocess.run([CC, "-O2", "-Wall", "-Werror", "-o", program,
                        self.doc / "examples/hello.c", *flags], check=True)
        out = subprocess.run([program], env=dict(os.environ, LD_LIBRARY_PATH=str(library.parent)),
                             check=True, capture_output=True, text=True, timeout=60).stdout
        self.assertIn("hello", out.lower())


if __name__ == "__main__":
    unittest.main()
