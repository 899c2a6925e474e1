"""Starting: settings that are wrong, and machines where io_uring is forbidden."""

import errno
import os
import resource
import unittest

import harness


def start(**env):
    """Starts and stops a runtime: what skua_run returned, and the lines on standard error."""
    result = harness.run("run_result", env=env)
    return int(result.stdout), result.stderr.splitlines()


class Environment(unittest.TestCase):
    def test_the_line_says_all(self):
        self.assertEqual(start(SKUA_WORKERS="8x"), (
            -errno.EINVAL,
            ["skua: SKUA_WORKERS='8x': expected 'auto' or 1..1024 (junk at 'x')"]))

    def test_bad_values(self):
        for name, values in {
                "SKUA_WORKERS": ["0", "1025", "-1", "many", "1.5", "99999999999999999999", " "],
                "SKUA_STACK_SIZE": ["1K", "15K", "33M", "128KB", "x", "-16K", "1G"],
                "SKUA_RING_ENTRIES": ["3", "32769", "0", "4K4", "x"],
                "SKUA_BATCH": ["0", "65537", "x", "-1"],
                "SKUA_SLICE": ["9us", "2s", "10", "200 us", "1h", "us"],
                "SKUA_CHAOS": ["foo", "migrate,foo", "migrate;inline"],
                "SKUA_LOG": ["loud", "warning", "3"],
                "SKUA_IO": ["aio", "uring,epoll"]}.items():
            for value in values:
                with self.subTest(name=name, value=value):
                    code, lines = start(**{name: value})
                    self.assertEqual(code, -errno.EINVAL)
                    self.assertEqual(len(lines), 1, lines)
                    self.assertTrue(lines[0].startswith(f"skua: {name}='{value}': expected "), lines)

    def test_good_values(self):
        for name, values in {
                "SKUA_WORKERS": ["auto", "1", "3", ""], "SKUA_STACK_SIZE": ["16K", "32M", "128K", ""],
                "SKUA_RING_ENTRIES": ["4", "256", "1024"], "SKUA_BATCH": ["1", "65536"],
                "SKUA_SLICE": ["10us", "1s", "200us", "1ms"],
                "SKUA_CHAOS": ["migrate", "inline", "noinline", "migrate,inline", ""],
                "SKUA_LOG": ["error", "warn"], "SKUA_IO": ["auto", "uring"]}.items():
            for value in values:
                with self.subTest(name=name, value=value):
                    self.assertEqual(start(**{name: value}), (0, []))

    def test_unknown_name(self):
        code, lines = start(SKUA_WORKRES="2")
        self.assertEqual(code, 0)
        self.assertEqual(len(lines), 1, lines)
        self.assertIn("SKUA_WORKRES", lines[0])
        self.assertIn("SKUA_WORKERS", lines[0])

    def test_show(self):
        code, lines = start(SKUA_SHOW="1", SKUA_WORKERS="3")
        self.assertEqual(code, 0)
        text = "\n".join(lines)
        for name in ["SKUA_WORKERS", "SKUA_STACK_SIZE", "SKUA_RING_ENTRIES", "SKUA_BATCH",
                     "SKUA_SLICE", "SKUA_CHAOS", "SKUA_LOG", "SKUA_IO"]:
            self.assertEqual(sum(name in line for line in lines), 1, (name, text))
        self.assertRegex(text, r"SKUA_WORKERS=3 \(env")
        self.assertRegex(text, r"SKUA_BATCH=64 \(default")


class WithoutUring(unittest.TestCase):
    """The start fails with one line that names the cause and the remedy."""

    def check(self, result, *words, code=errno.ENOTSUP):
        if result.returncode == 77:
            self.skipTest(result.stderr)
        self.assertEqual(int(result.stdout), -code, result.stderr)
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
        for word in words:
            self.assertIn(word, result.stderr)

    def test_epoll_is_not_there_yet(self):
        self.check(harness.run("run_result", env={"SKUA_IO": "epoll"}), "SKUA_IO", "epoll")

    def test_seccomp(self):
        for setting in ["auto", "uring"]:
            self.check(harness.run("run_result", env={"SKUA_IO": setting},
                                   prefix=[harness.program("deny_uring")]),
                       "io_uring", "seccomp")

    def test_examples_end_with_one_line(self):
        for name in ["hello", "echo", "http_hello"]:
            result = harness.run(name, *["tcp:127.0.0.1:0"] * (name != "hello"),
                                 prefix=[harness.program("deny_uring")])
            if result.returncode == 77:
                self.skipTest(result.stderr)
            self.assertEqual((result.returncode, result.stdout), (1, ""))
            self.assertEqual(result.stderr.count("\n"), 1, result.stderr)

    def test_memlock(self):
        """A user who may lock no memory gets no ring where the kernel counts rings as locked."""
        if os.geteuid() != 0:
            self.skipTest("only root can become a user with a smaller limit")

        def become_nobody():
            resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))
            os.setgid(65534)
            os.setuid(65534)

        try:
            result = harness.run("run_result", preexec_fn=become_nobody)
        except PermissionError:
            self.skipTest("the build folder is closed to other users")
        # io_uring is there, but no memory for it: not ENOTSUP.
        self.check(result, "io_uring", "MEMLOCK", "ulimit -l", code=errno.ENOMEM)

    def test_no_descriptors(self):
        """Seven of eight workers lack a ring, and one of them says so."""

        def allow_few_files():
            resource.setrlimit(resource.RLIMIT_NOFILE, (8, 8))

        result = harness.run("run_result", env={"SKUA_WORKERS": "8"}, preexec_fn=allow_few_files)
        self.check(result, "io_uring", "RLIMIT_NOFILE, 8", "ulimit -n", code=errno.EMFILE)


if __name__ == "__main__":
    harness.main()
