"""snippets.py itself: what is wrong in a page is found, and reported by page and line."""

import os
import unittest

import snippets

TABLE = "# Page\n\n| you write in X | in skua |\n|---|---|\n"
COMPILER = os.environ.get("SKT_CC", "cc")


def wrong(text):
    return snippets.compile_page("docs/PAGE.md", text, COMPILER)


class Snippets(unittest.TestCase):
    def test_what_is_right(self):
        for text in [TABLE + "| `go f(x)` | `rc = skua_spawn(&s, f, x);` |\n",
                     TABLE + "| `if` | `if (rc == 0 \\|\\| rc == 1)`<br>`    return rc;` |\n",
                     "```c\n#include <skua/skua.h>\nint one(void);\nint one(void)\n{\n"
                     "    return 1;\n}\n```\n"]:
            self.assertEqual(wrong(text), "", text)

    def test_what_does_not_compile(self):
        good = "| `a` | `skua_yield();` |\n"
        for cell in ["skua_spawn(&s, f);", "skua_spawn(&s, f, x)", "skua_nothing();", "int unused;",
                     "rc == 0;", "skua_select(cases, N, 0, SKUA_NEVER)", "v = x;"]:
            self.assertIn("docs/PAGE.md:6:", wrong(TABLE + good + f"| `b` | `{cell}` |\n" + good),
                          cell)
        self.assertIn("docs/PAGE.md:3:", wrong("text\n```c\nint one(void) { return nothing; }\n```\n"))

    def test_what_is_no_row(self):
        for row, said in [("| `a` | see below |", "more than code"),
                          ("| `a` | `skua_yield();` and so on |", "more than code"),
                          ("| `a` |  |", "no code"),
                          ("| `a` | `skua_yield();` | `skua_yield();` |", "two cells"),
                          ("|  | `skua_yield();` |", "two cells")]:
            found = wrong(TABLE + row + "\n")
            self.assertTrue(found.startswith("docs/PAGE.md:5: ") and said in found, (row, found))

    def test_empty_pages(self):
        for text in ["", "no table\n", TABLE, "| a | b |\n|---|---|\n| `x` | `y` |\n"]:
            self.assertIn("nothing to compile", wrong(text))
        self.assertIn("docs/PAGE.md:2: the code block has no end", wrong("```c\nint x;\n"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
