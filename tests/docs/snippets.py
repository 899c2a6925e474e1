"""Compiles what the documentation shows: python3 snippets.py [--compiler CC] PAGE...

Looked at are, in every page,
  - the right-hand cells of the tables whose head is "you write ... | in skua": all code spans of a
    cell together are the body of a function;
  - code blocks fenced by ```c: they stand outside of functions.
A page is one translation unit, with prelude.h in front of it, compiled with every warning an error.
What is wrong is reported under the page's own name and line, for each snippet is put behind a #line.
A cell must hold code and nothing else, and a page must hold snippets."""

import argparse
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PRELUDE = pathlib.Path(__file__).with_name("prelude.h")
FLAGS = ["-std=gnu17", "-Wall", "-Wextra", "-Wno-unused-function", "-Werror", "-fsyntax-only"]
HEAD = "in skua"
SPAN = re.compile(r"`([^`]+)`")


class BadPage(Exception):
    """Says itself where: page:line: what."""


def cells(line):
    """The cells of a row; "\\|" stands for a bar that does not part cells."""
    parts = re.split(r"(?<!\\)\|", line.strip())[1:-1]
    return [part.replace("\\|", "|").strip() for part in parts]


def code_of_cell(where, text):
    if SPAN.sub("", text).replace("<br>", "").strip():
        raise BadPage(f"{where}: a cell under '{HEAD}' holds more than code: {text}")
    spans = SPAN.findall(text)
    if not spans:
        raise BadPage(f"{where}: a cell under '{HEAD}' holds no code")
    return " ".join(spans)


def snippets(page, text):
    """Yields (line number, C text)."""
    lines = text.splitlines()
    in_table, block = False, None
    for number, line in enumerate(lines, 1):
        where = f"{page}:{number}"
        if block is not None:
            if line.strip() == "```":
                yield block, "\n".join(lines[block - 1:number - 1])
                block = None
        elif line.strip() == "```c":
            block = number + 1
        elif not line.startswith("|"):
            in_table = False
        elif not in_table:
            in_table = cells(line)[-1] == HEAD
        elif not re.fullmatch(r"[|:\- ]+", line):
            row = cells(line)
            if len(row) != 2 or not row[0]:
                raise BadPage(f"{where}: a row has two cells, not {len(row)}: {line}")
            code = code_of_cell(where, row[1])
            yield number, f"int cell_{number}(void); int cell_{number}(void) {{ {code} return 0; }}"
    if block is not None:
        raise BadPage(f"{page}:{block}: the code block has no end")


def unit_of(page, text):
    """The page as a translation unit, and how many snippets it has."""
    found = list(snippets(page, text))
    if not found:
        raise BadPage(f"{page}:1: there is nothing to compile")
    parts = [f'#include "{PRELUDE}"']
    for number, code in found:
        parts.append(f'#line {number} "{page}"\n{code}')
    return "\n".join(parts) + "\n", len(found)


def compile_page(page, text, compiler):
    """page: its name in reports. Returns what is wrong with it, or nothing."""
    try:
        unit, _ = unit_of(page, text)
    except BadPage as bad:
        return str(bad) + "\n"
    done = subprocess.run([compiler, *FLAGS, f"-I{ROOT / 'include'}", "-x", "c", "-"], input=unit,
                          capture_output=True, text=True, cwd=ROOT)
    if done.returncode == 0:
        return ""
    return done.stderr or f"{page}: {compiler} ended with {done.returncode}\n"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--compiler", default="cc")
    parser.add_argument("pages", nargs="+", type=pathlib.Path)
    args = parser.parse_args()
    failed = False
    for path in args.pages:
        page = path.resolve().relative_to(ROOT)
        text = path.read_text()
        wrong = compile_page(page, text, args.compiler)
        sys.stderr.write(wrong)
        failed = failed or bool(wrong)
        if not wrong:
            print(f"{page}: {unit_of(page, text)[1]} snippets compile")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
