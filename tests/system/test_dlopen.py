"""libskua.so loaded at run time: by a C program that links nothing of it, and by Python's ctypes."""

import ctypes
import os
import socket
import unittest

import harness

LIBRARY = harness.program("skua_library")
NEVER = 2 ** 63 - 1
ROUNDS = 100


class Plugin(unittest.TestCase):
    def test_local_and_global(self):
        for scope in ["local", "global"]:
            with self.subTest(scope=scope):
                result = harness.run("load_library", LIBRARY, scope)
                self.assertEqual((result.returncode, result.stdout, result.stderr),
                                 (0, "loaded, used and let go\n", ""))

    def test_allocates_by_the_programs_malloc(self):
        result = harness.run("load_library", LIBRARY, "local", env={"SKUA_SHOW": "1"})
        self.assertIn("skua: malloc is that of libc.so.6\n", result.stderr)


class Linked(unittest.TestCase):
    def test_jemalloc_is_what_programs_that_link_get(self):
        wanted = os.environ["SKT_ALLOCATOR"]
        if not wanted:
            self.skipTest("built without jemalloc")
        result = harness.run("run_result", env={"SKUA_SHOW": "1"})
        self.assertRegex(result.stderr, r"skua: malloc is (that of libjemalloc\.so|jemalloc's)")


FUNCTION = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)


def load():
    """The functions that are used below, with their types."""
    skua = ctypes.CDLL(LIBRARY)
    pointer, size, time = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64
    for name, result, arguments in [
            ("start", ctypes.c_int, [pointer]),
            ("stop", ctypes.c_int, [time]),
            ("call", ctypes.c_int, [FUNCTION, pointer, time]),
            ("spawn", ctypes.c_int, [pointer, FUNCTION, pointer]),
            ("spawn_opts", ctypes.c_int, [pointer, FUNCTION, pointer, pointer,
                                          ctypes.POINTER(pointer)]),
            ("join", ctypes.c_int, [pointer, ctypes.POINTER(ctypes.c_int), time]),
            ("task_unref", None, [pointer]),
            ("chan_new", ctypes.c_int, [ctypes.POINTER(pointer), size, size, ctypes.c_uint]),
            ("chan_send", ctypes.c_int, [pointer, pointer, time]),
            ("chan_recv", ctypes.c_int, [pointer, pointer, time]),
            ("chan_unref", None, [pointer]),
            ("listen", ctypes.c_int, [ctypes.c_char_p, pointer]),
            ("accept", ctypes.c_int, [ctypes.c_int, pointer, pointer, time]),
            ("read", ctypes.c_ssize_t, [ctypes.c_int, pointer, size, time]),
            ("write_full", ctypes.c_int, [ctypes.c_int, pointer, size, pointer, time]),
            ("close", ctypes.c_int, [ctypes.c_int]),
            ("pin", None, []), ("unpin", None, [])]:
        function = getattr(skua, "skua_" + name)
        function.restype, function.argtypes = result, arguments
    return skua


class Python(unittest.TestCase):
    """ctypes itself in this process, whose malloc is the C library's."""

    def setUp(self):
        self.skua = load()
        self.assertEqual(self.skua.skua_start(None), 0)

    def tearDown(self):
        self.assertEqual(self.skua.skua_stop(NEVER), 0)

    def test_spawn_and_channel(self):
        """Coroutines that are Python functions: one at a time, as they share the state that Python keeps for
        their worker's thread, and pinned, as it must be the same thread to the end."""
        skua, chan, task = self.skua, ctypes.c_void_p(), ctypes.c_void_p()
        got, result = ctypes.c_int64(), ctypes.c_int()
        self.assertEqual(skua.skua_chan_new(ctypes.byref(chan), 8, ROUNDS, 0), 0)

        @FUNCTION
        def send(arg):
            value = ctypes.c_int64(arg or 0)
            skua.skua_pin()
            rc = skua.skua_chan_send(chan, ctypes.byref(value), NEVER)
            skua.skua_unpin()
            return rc or value.value

        for i in range(ROUNDS):
            self.assertEqual(skua.skua_spawn_opts(None, send, i, None, ctypes.byref(task)), 0)
            self.assertEqual(skua.skua_join(task, ctypes.byref(result), NEVER), 0)
            self.assertEqual(result.value, i)
            skua.skua_task_unref(task)
        for i in range(ROUNDS):
            self.assertEqual(skua.skua_chan_recv(chan, ctypes.byref(got), NEVER), 0)
            self.assertEqual(got.value, i)
        self.assertEqual(skua.skua_call(send, 77, NEVER), 77)
        skua.skua_chan_unref(chan)

    def test_echo(self):
        """One coroutine that waits, pinned to its worker."""
        skua = self.skua
        path = f"unix:@skua-dlopen-{os.getpid()}"
        listener = skua.skua_listen(path.encode(), None)
        self.assertGreaterEqual(listener, 0)

        @FUNCTION
        def serve(_):
            skua.skua_pin()
            fd = skua.skua_accept(listener, None, None, NEVER)
            buffer = ctypes.create_string_buffer(4096)
            while (n := skua.skua_read(fd, buffer, 4096, NEVER)) > 0:
                if skua.skua_write_full(fd, buffer, n, None, NEVER) < 0:
                    break
            skua.skua_close(fd)
            skua.skua_unpin()
            return n

        self.assertEqual(skua.skua_spawn(None, serve, None), 0)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.connect("\0" + path[len("unix:@"):])
            for i in range(ROUNDS):
                message = f"message {i}\n".encode()
                client.sendall(message)
                self.assertEqual(client.recv(len(message), socket.MSG_WAITALL), message)
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(client.recv(1), b"")
        self.assertEqual(skua.skua_close(listener), 0)


if __name__ == "__main__":
    harness.main()
