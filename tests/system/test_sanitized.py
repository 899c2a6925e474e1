"""Programs that are built with a sanitizer, by gcc and by clang, against the library without one: shared
and static. The sanitizer must be silent about what is correct, and find what is planted."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import harness

HERE = pathlib.Path(__file__).parent
STACK = ["-fsanitize=address,undefined", "-fno-omit-frame-pointer"]
ORDER = ["-fsanitize=thread"]
# All here, because the programs are built only once.
SETTINGS = [{"SKUA_WORKERS": "2"}, {"SKUA_WORKERS": "1"}, {"SKUA_WORKERS": "8"},
            {"SKUA_WORKERS": "2", "SKUA_CHAOS": "migrate"}, {"SKUA_WORKERS": "2", "SKUA_RING_ENTRIES": "4"}]


def compilers():
    """Those for C and C++ that are there: gcc of any name, and one clang."""
    pairs = [("gcc", "g++")] + [(f"clang{v}", f"clang++{v}") for v in ("-19", "-18", "-17", "-16", "-15", "")]
    there = [(c, cxx) for c, cxx in pairs if shutil.which(c) and shutil.which(cxx)]
    return [p for p in there if p[0] == "gcc"] + [p for p in there if p[0] != "gcc"][:1]


class Sanitized(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.at = pathlib.Path(folder.name)
        prefix = cls.at / "prefix"
        subprocess.run(["cmake", "--install", harness.program("build_dir"), "--prefix", str(prefix)],
                       check=True, capture_output=True, timeout=harness.PATIENCE)
        cls.lib = next(prefix.glob("lib*/**/pkgconfig")).parent
        cls.env = {**os.environ, "PKG_CONFIG_PATH": str(cls.lib / "pkgconfig"),
                   "LD_LIBRARY_PATH": str(cls.lib),
                   "ASAN_OPTIONS": "detect_stack_use_after_return=1",
                   "TSAN_OPTIONS": "", "LSAN_OPTIONS": "", "UBSAN_OPTIONS": ""}
        cls.programs = {}
        for c, cxx in compilers():
            for static in (False, True):
                cls.add("stack", cxx, STACK, "sanitized_stack.cc", static)
                cls.add("order", c, ORDER, "sanitized_order.c", static)
        if not cls.programs:
            raise unittest.SkipTest("no compiler here links programs with sanitizers")

    @classmethod
    def flags(cls, static):
        flags = subprocess.run(["pkg-config", "--cflags", "--libs", *(["--static"] if static else []), "skua"],
                               env=cls.env, capture_output=True, text=True, check=True).stdout.split()
        return [str(cls.lib / "libskua.a") if static and f == "-lskua" else f for f in flags]

    @classmethod
    def add(cls, kind, compiler, options, source, static):
        name = f"{kind}-{compiler}-{'static' if static else 'shared'}"
        command = [compiler, "-g", "-O1", *options, str(HERE / source), *cls.flags(static), "-lpthread",
                   "-o", str(cls.at / name)]
        # A compiler may come without these runtimes.
        probe = subprocess.run([compiler, *options, "-x", "c", "-", "-o", str(cls.at / "probe")],
                               input="int main(void) { return 0; }", capture_output=True, text=True,
                               timeout=harness.PATIENCE)
        if probe.returncode != 0:
            return
        built = subprocess.run(command, capture_output=True, text=True, timeout=2 * harness.PATIENCE)
        if built.returncode != 0:
            raise AssertionError(f"{command}: {built.stderr}")
        cls.programs.setdefault(kind, []).append(name)

    def run_each(self, check, kind, *arguments):
        """check(code, said) is called with what each program of this kind has ended with, and said."""
        if kind not in self.programs:
            self.skipTest("no compiler here has this sanitizer")
        for name in self.programs[kind]:
            for setting in SETTINGS if name.endswith("shared") else SETTINGS[:1]:
                with self.subTest(program=name, arguments=arguments, setting=setting):
                    done = subprocess.run([str(self.at / name), *arguments], env={**self.env, **setting},
                                          capture_output=True, text=True, timeout=2 * harness.PATIENCE)
                    check(done.returncode, done.stdout + done.stderr)

    def is_silent(self, kind, *arguments):
        def check(code, said):
            self.assertEqual(code, 0, said)
            self.assertNotIn("Sanitizer", said)

        self.run_each(check, kind, *arguments)

    def finds(self, what, kind, *arguments):
        def check(code, said):
            self.assertRegex(said, what)
            self.assertNotEqual(code, 0, said)

        self.run_each(check, kind, *arguments)

    def test_stack_correct(self):
        self.is_silent("stack", "ok")

    def test_stack_overflow(self):
        self.finds("stack-buffer-overflow", "stack", "overflow")

    def test_stack_use_after_return(self):
        self.finds("stack-use-after-return", "stack", "return")

    def find_leaks(self, what, least):
        def check(code, said):
            self.assertNotEqual(code, 0, said)
            # The last check of the process says all.
            leaks = re.findall(r"irect leak of 1?\d+ byte\(s\) in (\d+) object.*\n((?:    #.*\n)+)",
                               said[said.rindex("LeakSanitizer: detected"):])
            self.assertGreaterEqual(sum(int(count) for count, _ in leaks), least, said)
            for _, frames in leaks:
                self.assertGreaterEqual(frames.count("#"), 3, said)
                if "sanitized_stack.cc" in frames:  # where there is a symbolizer
                    self.assertIn("leak_here", frames)

        self.run_each(check, "stack", what)

    def test_leaks(self):
        self.find_leaks("leak", 2)

    def test_leaks_before_stop(self):
        self.find_leaks("leak_now", 6)

    def test_held_is_no_leak(self):
        self.is_silent("stack", "exit")

    def test_order_correct(self):
        self.is_silent("order", "ok")

    def test_races(self):
        self.finds("data race", "order", "race")
        self.finds("data race", "order", "race", "through")


if __name__ == "__main__":
    harness.main()
