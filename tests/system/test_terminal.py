"""Job control: what reads its terminal in the background is stopped, as by read(2), and goes on in the
foreground. A session with a terminal of its own stands for the shell."""

import contextlib
import os
import pty
import signal
import termios
import time
import traceback
import unittest

import harness


class Shell:
    """The leader of the session; runs in a child, with the terminal on descriptor 0."""

    def __init__(self):
        said, self.stderr = os.pipe()  # of the job
        self.said = os.fdopen(said)
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # it moves jobs to the foreground
        signal.signal(signal.SIGALRM, self.too_late)
        signal.alarm(harness.PATIENCE)

    def too_late(self, *_):
        raise AssertionError(f"not within {harness.PATIENCE} s")

    def start(self, what, foreground=False, orphan=False):
        self.job = os.fork()
        if self.job == 0:
            os.setpgid(0, 0)
            if orphan:
                leave_orphan()
            if foreground:
                os.tcsetpgrp(0, os.getpid())
            signal.signal(signal.SIGTTOU, signal.SIG_DFL)
            os.dup2(self.stderr, 2)
            os.execv(harness.program("terminal"), ["terminal", what])
        with contextlib.suppress(OSError):
            os.setpgid(self.job, self.job)
        os.close(self.stderr)
        self.expect("begun")

    def expect(self, line):
        said = self.said.readline().strip()
        if said != line:
            raise AssertionError(f"said {said!r}, not {line!r}")

    def expect_stop(self, by):
        _, status = os.waitpid(self.job, os.WUNTRACED)
        if not os.WIFSTOPPED(status) or os.WSTOPSIG(status) != by:
            raise AssertionError(f"status {status:#x}, not stopped by {by}")

    def expect_end(self):
        _, status = os.waitpid(self.job, 0)
        if status != 0:
            raise AssertionError(f"ended with status {status:#x}")

    def bring_to_foreground(self):
        os.tcsetpgrp(0, self.job)
        os.killpg(self.job, signal.SIGCONT)

    def stop_writers(self):
        settings = termios.tcgetattr(0)
        settings[3] |= termios.TOSTOP
        termios.tcsetattr(0, termios.TCSANOW, settings)


def leave_orphan():
    """Goes on in a child whose parent has ended: nothing of the session could continue its group."""
    parent = os.getpid()
    if os.fork() != 0:
        os._exit(0)
    while os.getppid() == parent:
        time.sleep(0.001)


def in_session(body):
    """Runs body(shell, type) in the leader of a new session; type(text) is what a person types."""
    errors, typed = os.pipe(), os.pipe()
    leader, master = pty.fork()
    if leader == 0:
        code = 1
        try:
            shell = Shell()
            body(shell, lambda text: os.write(typed[1], text))
            code = 0
        except BaseException:
            os.write(errors[1], traceback.format_exc().encode())
        finally:
            with contextlib.suppress(Exception):
                os.killpg(shell.job, signal.SIGKILL)
            os._exit(code)
    os.close(errors[1])
    os.close(typed[1])
    try:
        while text := os.read(typed[0], 100):  # until the leader has ended
            os.write(master, text)
        with os.fdopen(errors[0]) as file:
            said = file.read()
        _, status = os.waitpid(leader, 0)
    finally:
        os.close(typed[0])
        os.close(master)
    if status != 0:
        raise AssertionError(f"the session ended with {status:#x}: {said}")


class Reading(unittest.TestCase):
    def test_stops_and_goes_on(self):
        for what in ["r", "R", "n", "pr", "pn"]:
            with self.subTest(what=what):
                def body(shell, type):
                    shell.start(what)
                    shell.expect_stop(signal.SIGTTIN)
                    os.kill(shell.job, signal.SIGCONT)  # as by "bg"
                    shell.expect_stop(signal.SIGTTIN)
                    shell.bring_to_foreground()
                    type(b"hello\n")
                    shell.expect("done")
                    shell.expect_end()

                in_session(body)

    def test_put_into_the_background_while_it_waits(self):
        for what in ["r", "R", "pr"]:
            with self.subTest(what=what):
                def body(shell, type):
                    shell.start(what, foreground=True)
                    os.kill(shell.job, signal.SIGTSTP)
                    shell.expect_stop(signal.SIGTSTP)
                    os.tcsetpgrp(0, os.getpgrp())
                    os.kill(shell.job, signal.SIGCONT)
                    type(b"hello\n")  # for the shell, which leaves it there
                    shell.expect_stop(signal.SIGTTIN)
                    shell.bring_to_foreground()
                    shell.expect("done")
                    shell.expect_end()

                in_session(body)

    def test_foreground(self):
        def body(shell, type):
            shell.start("r", foreground=True)
            type(b"hello\n")
            shell.expect("done")
            shell.expect_end()

        in_session(body)

    def test_ignored_or_blocked(self):
        for what in ["i", "b"]:
            with self.subTest(what=what):
                def body(shell, type):
                    shell.start(what)
                    shell.expect("Input/output error")
                    shell.expect_end()

                in_session(body)


    def test_orphan(self):
        def body(shell, type):
            shell.start("r", orphan=True)
            shell.expect("Input/output error")
            shell.expect_end()

        in_session(body)


class Writing(unittest.TestCase):
    def test_stops_and_goes_on(self):
        for what in ["w", "W", "pw"]:
            with self.subTest(what=what):
                def body(shell, type):
                    shell.stop_writers()
                    shell.start(what)
                    shell.expect_stop(signal.SIGTTOU)
                    shell.bring_to_foreground()
                    shell.expect("done")
                    shell.expect_end()

                in_session(body)

    def test_without_tostop(self):
        def body(shell, type):
            shell.start("w")
            shell.expect("done")
            shell.expect_end()

        in_session(body)


if __name__ == "__main__":
    harness.main()
