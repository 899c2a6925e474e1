"""The gdb script that is installed with the library, on a program that is stuck: alive and as a core file,
with the shared library and with the static one."""

import os
import pathlib
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import unittest

import harness

HERE = pathlib.Path(__file__).parent
NO_INIT = ["gdb", "-q", "-nx", "-batch", "-iex", "set debuginfod enabled off"]


class Debugger(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.at = pathlib.Path(folder.name)
        cls.prefix = cls.at / "prefix"
        cls.do("cmake", "--install", harness.program("build_dir"), "--prefix", str(cls.prefix))
        cls.lib = next(cls.prefix.glob("lib*/**/pkgconfig")).parent
        cls.env = {**os.environ, "PKG_CONFIG_PATH": str(cls.lib / "pkgconfig"),
                   "LD_LIBRARY_PATH": str(cls.lib), "SKUA_WORKERS": os.environ.get("SKUA_WORKERS", "2")}
        shared = cls.do("pkg-config", "--cflags", "--libs", "skua").split()
        static = [str(cls.lib / "libskua.a") if f == "-lskua" else f
                  for f in cls.do("pkg-config", "--static", "--cflags", "--libs", "skua").split()]
        for name, flags in ("shared", shared), ("static", static):
            cls.do("cc", "-g", "-O1", str(HERE / "stuck.c"), *flags, "-o", str(cls.at / name))
        cls.script = cls.prefix / "share/skua/skua-gdb.py"

    @classmethod
    def do(cls, *command):
        result = subprocess.run(command, cwd=cls.at, env=getattr(cls, "env", None), capture_output=True,
                                text=True, timeout=2 * harness.PATIENCE, stdin=subprocess.DEVNULL)
        if result.returncode != 0:
            raise AssertionError(f"{command} ended with {result.returncode}: {result.stdout}{result.stderr}")
        return result.stdout

    def start(self, *options, commands, source=True):
        first = ["-iex", f"source {self.script}"] if source else []
        last = list(options[options.index("-args"):]) if "-args" in options else list(options)
        return subprocess.run([*NO_INIT, *first, *options[:len(options) - len(last)],
                               *[word for command in commands for word in ("-ex", command)], *last],
                              cwd=self.at, env=self.env, capture_output=True, text=True,
                              timeout=2 * harness.PATIENCE, stdin=subprocess.DEVNULL)

    def debug(self, *options, commands, source=True):
        done = self.start(*options, commands=commands, source=source)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def look(self, *options, before=(), source=True):
        """What must be there to see, however the program is looked at."""
        said = self.debug(*options, commands=[*before, "skua tasks", "skua workers"], source=source)
        rows = {row[4].split(" at ")[0] + " " + row[3].split(" in ")[0]: row
                for row in (re.split(r"\s{2,}", line.strip()) for line in said.splitlines())
                if len(row) == 5 and row[0].isdigit()}
        states = [(row[1], row[2], re.sub("0x[0-9a-f]+", "AT", row[3])) for row in rows.values()]
        for name, state, what in [("-", "parked", r"channel AT in \w+"), ("-", "parked", "mutex AT in skua_mutex_lock"),
                                  ("-", "parked", r"read on descriptor \d+"),
                                  ("sleeper", "parked", r"time in skua_sleep, until .*"),
                                  ("-", "running", r"on worker \d")]:
            self.assertTrue(any(n == name and s == state and re.fullmatch(what, w) for n, s, w in states),
                            f"{name} {state} {what} in: {said}")
        self.assertTrue(any(state in ("lent", "parked") and "scope" in what for _, state, what in states), said)
        self.assertRegex(said, r"spawned\n(?:.*\n)*.* first at \S*stuck\.c:\d+\n")
        self.assertRegex(said, r"worker +thread +runs.*\n")
        waiter = next(row for row in rows.values() if "read on" in row[3])
        running = next(row for row in rows.values() if row[2] == "running")
        told = self.debug(*options, commands=[*before, f"skua bt {waiter[0]}", f"skua in {waiter[0]} frame function waits_for_pipe"],
                          source=source)
        self.assertRegex(told, r"#\d+ .* in waits_for_pipe \(arg=.*stuck\.c:\d+\n(?:#.*\n)*#\d+ .* sk_arch_entry \(\)")
        wrong = self.start(*options, commands=[*before, f"skua bt {running[0]}"], source=source)
        self.assertRegex(wrong.stdout + wrong.stderr, r"runs on worker \d: see `skua workers`")

    def test_alive(self):
        for program in "shared", "static":
            with self.subTest(program=program):
                self.look("-args", str(self.at / program), before=["run"])

    def test_loaded_by_itself(self):
        """By gdb, where the prefix is one of its own or is made one."""
        folder = f"{self.prefix}/share/gdb/auto-load"
        self.look("-iex", f"add-auto-load-scripts-directory {folder}", "-iex", f"add-auto-load-safe-path {self.prefix}",
                  "-args", str(self.at / "shared"), before=["run"], source=False)

    def test_core_of_gdb(self):
        """gcore leaves out what holds a guard, and with it the stacks: the script says so."""
        core = str(self.at / "core.gdb")
        self.debug("-args", str(self.at / "shared"), commands=["run", f"gcore {core}"])
        said = self.debug(str(self.at / "shared"), core, commands=["skua tasks", "skua workers"])
        self.assertRegex(said, r"sleeper +parked .*(until|the kernel does not).* first at ")

    def test_core_of_kernel(self):
        pattern = pathlib.Path("/proc/sys/kernel/core_pattern").read_text().strip()
        if "/" in pattern or pattern.startswith("|"):
            self.skipTest(f"core_pattern is '{pattern}'")
        hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
        if hard == 0:
            self.skipTest("RLIMIT_CORE is 0")
        subprocess.run([str(self.at / "shared")], cwd=self.at, env=self.env, timeout=harness.PATIENCE, check=False,
                       preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (hard, hard)))
        cores = [p for p in self.at.glob("core*") if p.name != "core.gdb"]
        self.assertTrue(cores, "the kernel has left no core file")
        self.look(str(self.at / "shared"), str(cores[0]))


if __name__ == "__main__":
    if shutil.which("gdb") is None:
        print("there is no gdb")
        sys.exit(77)
    harness.main()
