#!/usr/bin/env python3
"""tests/model/faults.py - breaks the code on purpose, and sees that the models notice.

Reads faults.txt. For each fault it makes a copy of one source file with some lines replaced, builds
the model's program with that copy, and runs it: the fault is found if the program fails by a
schedule that it prints. A fault whose lines are not found exactly once is an error, as is one that
is not found or does not compile: then the source has changed and faults.txt must follow.

faults.py BUILD_DIR [PART_OF_NAME...]   (BUILD_DIR: where CMake has written models.json)
"""
import concurrent.futures
import json
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
RUN_SECONDS = 120


class Fault:
    def __init__(self, name):
        self.name, self.program, self.models, self.file = name, "", [], ""
        self.hunks = [([], [])]  # lines to find, lines to put there


def read_faults(path):
    """[name] begins a fault; `model: program model...`, `file: path`; then lines as in a diff; `@@` between two
    places."""
    faults = []
    with open(path, encoding="utf-8") as source:
        for number, line in enumerate(source, 1):
            line = line.rstrip("\n")
            if line.startswith("#") or not line.strip():
                continue
            if line.startswith("["):
                faults.append(Fault(line.strip("[]")))
            elif line.startswith("model: "):
                faults[-1].program, *faults[-1].models = line[7:].split()
            elif line.startswith("file: "):
                faults[-1].file = line[6:].strip()
            elif line == "@@":
                faults[-1].hunks.append(([], []))
            elif line[0] in "-+ ":
                if line[0] in "- ":
                    faults[-1].hunks[-1][0].append(line[1:].strip())
                if line[0] in "+ ":
                    faults[-1].hunks[-1][1].append(line[1:].strip())
            else:
                sys.exit(f"{path}:{number}: what is this? {line}")
    return faults


def apply(fault):
    """The text of the file with the fault in it."""
    with open(os.path.join(ROOT, fault.file), encoding="utf-8") as source:
        lines = source.read().split("\n")
    for old, new in fault.hunks:
        stripped = [line.strip() for line in lines]
        places = [i for i in range(len(lines)) if stripped[i:i + len(old)] == old]
        if len(places) != 1:
            raise ValueError(f"lines of it stand {len(places)} times in {fault.file}, not once")
        lines[places[0]:places[0] + len(old)] = new
    return "\n".join(lines)


def build(fault, number, build_dir, config):
    folder = os.path.join(build_dir, "faults", str(number))
    shutil.rmtree(folder, ignore_errors=True)  # the last fault of this number
    copy = os.path.join(folder, fault.file)
    os.makedirs(os.path.dirname(copy), exist_ok=True)
    with open(copy, "w", encoding="utf-8") as out:
        out.write(apply(fault))
    sources = config["models"][fault.program]
    objects = []
    for source in sources:
        changed = source == fault.file
        if not changed and fault.file in sources:
            objects.append(good_object(source, fault.program, build_dir, config))
            continue
        objects.append(os.path.join(folder, source.replace("/", "_") + ".o"))
        compile_one(copy if changed else os.path.join(ROOT, source), objects[-1],
                    ["-I" + folder] + config["flags"], config)
    program = os.path.join(folder, "model")
    subprocess.run([config["cc"], "-no-pie", "-o", program] + objects + config["engine"],
                   check=True, capture_output=True, text=True)
    return program


def compile_one(source, target, flags, config):
    subprocess.run([config["cc"]] + flags + ["-w", "-g0", "-c", source, "-o", target],
                   check=True, capture_output=True, text=True)


def good_object(source, program, build_dir, config):
    """As CMake has built it for the model."""
    target = "model_world" if source in config["world"] else f"model_{program}"
    inner = os.path.relpath(source, "tests/model").replace("..", "__")
    return os.path.join(build_dir, "CMakeFiles", target + ".dir", inner + ".o")


def environment():
    """Bounds are the models' own: what is found here is found in every run."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("SKUA_MODEL_")}
    env["SKUA_MODEL_BRIEF"] = "1"
    return env


def try_fault(job):
    fault, number, build_dir, config = job
    try:
        program = build(fault, number, build_dir, config)
        run = subprocess.run([program] + fault.models, capture_output=True, text=True,
                             timeout=RUN_SECONDS, check=False,
                             env=environment())
    except ValueError as error:
        return fault, False, str(error)
    except subprocess.CalledProcessError as error:
        return fault, False, "does not build:\n" + error.stderr
    except subprocess.TimeoutExpired:
        return fault, False, f"not found in {RUN_SECONDS} s"
    found = re.search(r"^(\w+ \(\w+\): .* schedule \d+) FAILED: (.*)$", run.stdout, re.M)
    if run.returncode != 1 or found is None:
        return fault, False, f"NOT FOUND (exit {run.returncode}) {run.stderr}"
    return fault, True, f"{found.group(1)}: {found.group(2)}"


def main():
    build_dir = os.path.abspath(sys.argv[1])
    with open(os.path.join(build_dir, "models.json"), encoding="utf-8") as source:
        config = json.load(source)
    faults = read_faults(os.path.join(HERE, "faults.txt"))
    if len(sys.argv) > 2:
        faults = [f for f in faults if any(part in f.name for part in sys.argv[2:])]
    jobs = [(fault, number, build_dir, config) for number, fault in enumerate(faults)]
    missed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for fault, found, text in pool.map(try_fault, jobs):
            print(f"{'found' if found else 'MISSED'}  {fault.name}: {text}", flush=True)
            missed += not found
    print(f"{len(jobs) - missed} of {len(jobs)} planted faults were found")
    return 1 if missed or not jobs else 0


if __name__ == "__main__":
    sys.exit(main())
