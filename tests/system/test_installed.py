"""A program built against the library as it is installed, by pkg-config and by CMake: what malloc it gets, and
how its coroutines run out of stack."""

import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import unittest

import harness

PROGRAM = """
#include <skua/skua.h>
static int child(void *arg) { (void)arg; return 0; }
static int first(void *arg)
{
    skua_scope s;
    int rc = skua_scope_open(&s, 0, SKUA_NEVER);
    (void)arg;
    for (int i = 0; i < 100 && rc == 0; i++)
        rc = skua_spawn(&s, child, NULL);
    return rc < 0 ? rc : skua_scope_close(&s, SKUA_NEVER);
}
int main(void) { return -skua_run(first, NULL, NULL); }
"""

PROJECT = """
cmake_minimum_required(VERSION 3.16)
project(user LANGUAGES C)
find_package(skua REQUIRED)
add_executable(shared program.c)
target_link_libraries(shared PRIVATE skua::skua)
add_executable(static program.c)
target_link_libraries(static PRIVATE skua::skua_static)
"""

# Touches the far end alone of a frame that is larger than a stack and its guard.
FRAME = """
#include <skua/skua.h>
static int run_out(void *arg)
{
    static volatile int first; /* clang would shrink the array to what constants index */
    volatile char array[300 << 10];
    (void)arg;
    array[first] = 1;
    return array[first];
}
int main(void) { return skua_run(run_out, 0, 0); }
"""

FRAME_PROJECT = """
cmake_minimum_required(VERSION 3.16)
project(user LANGUAGES C CXX)
find_package(skua REQUIRED)
foreach(language c cc)
    foreach(lib skua skua_static)
        add_executable(${language}_${lib} frame.${language})
        target_link_libraries(${language}_${lib} PRIVATE skua::${lib})
    endforeach()
endforeach()
"""


class Installed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.at = pathlib.Path(cls.folder.name)
        cls.prefix = cls.at / "prefix"
        cls.do("cmake", "--install", harness.program("build_dir"), "--prefix", str(cls.prefix))
        cls.lib = next(cls.prefix.glob("lib*/**/pkgconfig")).parent
        cls.env = {**os.environ, "PKG_CONFIG_PATH": str(cls.lib / "pkgconfig"),
                   "LD_LIBRARY_PATH": str(cls.lib), "SKUA_SHOW": "1"}
        (cls.at / "program.c").write_text(PROGRAM)
        (cls.at / "CMakeLists.txt").write_text(PROJECT)
        for name in ["frame.c", "frame.cc", "frames/frame.c", "frames/frame.cc"]:
            (cls.at / name).parent.mkdir(exist_ok=True)
            (cls.at / name).write_text(FRAME)
        (cls.at / "frames/CMakeLists.txt").write_text(FRAME_PROJECT)

    @classmethod
    def do(cls, *command, env=None):
        result = subprocess.run(command, cwd=cls.at, env=env, capture_output=True, text=True,
                                timeout=2 * harness.PATIENCE)
        if result.returncode != 0:
            raise AssertionError(f"{command} ended with {result.returncode}: {result.stdout}{result.stderr}")
        return result.stdout + result.stderr

    def check(self, program, malloc):
        said = self.do(str(self.at / program), env=self.env).splitlines()
        self.assertEqual([line for line in said if "malloc" in line], [f"skua: malloc is {malloc}"])

    def build(self, *options, pkg_config=("--cflags", "--libs")):
        flags = self.do("pkg-config", *pkg_config, "skua", env=self.env).split()
        self.do("cc", "-O2", *options, "program.c", *flags, "-o", "program", env=self.env)

    def setUp(self):
        self.malloc = "that of libjemalloc.so.2" if os.environ["SKT_ALLOCATOR"] else "that of libc.so.6"

    def test_pkg_config(self):
        for options in [(), ("-Wl,--as-needed",), ("-flto",)]:
            with self.subTest(options=options):
                self.build(*options)
                self.check("program", self.malloc)

    def test_static(self):
        self.build("-static", pkg_config=("--static", "--cflags", "--libs"))
        self.check("program", "jemalloc's" if os.environ["SKT_ALLOCATOR"] else "the program's own")

    def test_by_hand(self):
        """Without what pkg-config says: a program that runs, on its own malloc."""
        self.do("cc", "-O2", "program.c", f"-I{self.prefix}/include", f"-L{self.lib}", "-lskua",
                "-o", "program", env=self.env)
        self.check("program", "that of libc.so.6")
        self.env = {**self.env, "LD_PRELOAD": "libjemalloc.so.2"}
        if os.environ["SKT_ALLOCATOR"]:
            self.check("program", self.malloc)

    def test_cmake(self):
        for options in [(), ("-DCMAKE_EXE_LINKER_FLAGS=-Wl,--as-needed",)]:
            with self.subTest(options=options):
                self.do("cmake", "-B", "build", f"-DCMAKE_PREFIX_PATH={self.prefix}", *options)
                self.do("cmake", "--build", "build")
                for name in ["shared", "static"]:
                    self.check(f"build/{name}", self.malloc)

    def check_frame(self, program):
        result = subprocess.run([str(self.at / program)], env=self.env, capture_output=True, text=True,
                                timeout=harness.PATIENCE)
        self.assertIn("stack overflow: coroutine 1", result.stderr)
        self.assertEqual(result.returncode, -signal.SIGSEGV)

    def test_large_frame(self):
        """With the flags of pkg-config a frame of any size faults on the guard."""
        flags = self.do("pkg-config", "--cflags", "--libs", "skua", env=self.env).split()
        for compiler, source in [("gcc", "frame.c"), ("g++", "frame.cc"), ("clang", "frame.c"),
                                 ("clang-19", "frame.c"), ("clang++-19", "frame.cc")]:
            if shutil.which(compiler) is None:
                continue
            with self.subTest(compiler=compiler):
                self.do(compiler, "-O2", "-Wall", "-Werror", source, *flags, "-o", "frame", env=self.env)
                self.check_frame("frame")

    def test_large_frame_by_cmake(self):
        self.do("cmake", "-S", "frames", "-B", "frames/build", "-DCMAKE_BUILD_TYPE=Release",
                f"-DCMAKE_PREFIX_PATH={self.prefix}")
        self.do("cmake", "--build", "frames/build")
        for language in ["c", "cc"]:
            for lib in ["skua", "skua_static"]:
                with self.subTest(language=language, lib=lib):
                    self.check_frame(f"frames/build/{language}_{lib}")


if __name__ == "__main__":
    harness.main()
