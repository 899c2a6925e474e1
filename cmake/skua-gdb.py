"""gdb commands for programs that use skua: what its coroutines do, in a process that is stopped or in a core file.

  skua tasks            every coroutine: id, name, state, what it waits for, where it was spawned
  skua bt ID [OPTION…]  the backtrace of a coroutine that does not run; options as those of `backtrace`
  skua in ID COMMAND    any command of gdb, as if that coroutine were the selected thread: its frames begin at 1
  skua workers          the workers: their threads, and which coroutine each runs

They read memory and run nothing in the process. They need the library's debug information, which a
Release build has. gdb loads this file with libskua.so if its auto-load safe path allows that; otherwise,
and for a program that has linked libskua.a: `source` it."""

import gdb
import gdb.unwinder

MOST = 1 << 20  # of anything linked: a list may be torn where the process was stopped
CHUNK_BYTES = 1 << 16
PROXY, WAIT_OP, WAITING, REGISTERING = 1, 1 << 5, 2, 1
NEVER = (1 << 63) - 1
# By the file of the call that waits.
OBJECTS = {"chan": "channel", "chan_locked": "channel", "chan_wait": "channel", "mutex": "mutex",
           "rwlock": "rwlock", "sem": "semaphore", "cond": "condition", "event": "event", "wg": "wait group",
           "barrier": "barrier", "once": "once", "future": "future", "join": "task", "scope": "scope",
           "select": "select", "sleep": "time", "block": "a thread of skua_block", "poll": "descriptors"}
OBJECT_NAMES = {"channel": ("c", "chan"), "mutex": ("m", "mutex"), "rwlock": ("l", "lock"), "semaphore": ("s", "sem"),
                "condition": ("c", "cond"), "event": ("e", "event"), "wait group": ("g", "wg"),
                "barrier": ("b", "barrier"), "once": ("f", "once"), "future": ("f",), "task": ("task",),
                "scope": ("s", "scope")}


def number(value):
    """Of an integer, an atomic one, or a pointer."""
    return int(value.cast(gdb.lookup_type("unsigned long")))


def variable(name):
    symbol = gdb.lookup_global_symbol(name) or gdb.lookup_static_symbol(name)
    if symbol is None:
        raise gdb.GdbError(f"skua: no debug information: {name} is not known; is it linked, and built with -g?")
    return symbol.value()


def static_beside(function, name):
    """The static variable `name` of the file that defines a function: other files have one of that name too."""
    symbol = gdb.lookup_global_symbol(function)
    if symbol is not None:
        for other in symbol.symtab.static_block():
            if other.name == name:
                return other.value()
    raise gdb.GdbError(f"skua: no debug information: {name} beside {function} is not known")


def linked(first):
    """The addresses of records that are linked by `next`."""
    seen = set()
    while number(first) != 0 and number(first) not in seen and len(seen) < MOST:
        seen.add(number(first))
        first = first["next"]
    return seen


class Task:
    """One record."""

    def __init__(self, record, chunk):
        self.record = record
        self.address = number(record.address)
        index = (self.address - number(chunk["records"].address)) // record.type.sizeof
        self.id = (number(record["generation"]) << 32) + number(chunk["base"]) + index + 1
        self.wait = number(record["x_wait"])
        self.state = number(record["x_state"])

    def name(self):
        locals_ = self.record["locals"]
        return locals_["name"].string(errors="replace") if number(locals_) != 0 else ""

    def site(self):
        pc = number(self.record["spawn_site"])
        line = gdb.find_pc_line(pc - 1)
        block = gdb.current_progspace().block_for_pc(pc - 1) if pc else None
        while block is not None and block.function is None:
            block = block.superblock
        where = f"{line.symtab.filename}:{line.line}" if line.symtab else hex(pc)
        return f"{block.function.name} at {where}" if block is not None else where


class Process:
    """What stands in the memory of this one."""

    def __init__(self):
        runtime = variable("sk_runtime")
        self.workers = [runtime["workers"][i] for i in range(number(runtime["worker_count"]))
                        ] if number(runtime["workers"]) != 0 else []
        self.running = {number(w["current"]): w for w in self.workers if number(w["current"]) != 0}
        self.tasks = list(self.find_tasks())
        self.by_id = {task.id: task for task in self.tasks}
        self.by_address = {task.address: task for task in self.tasks}
        self.lent = {opener: task for task in self.tasks for opener in self.lender(task)}

    def find_tasks(self):
        pool = static_beside("sk_task_new_slow", "pool")
        free = linked(pool["free"])
        for worker in self.workers:
            free |= linked(worker["free_tasks"])
        for at in self.chunks(pool["chunks"]):
            low, high = at["records"].type.range()
            for i in range(low, high + 1):
                record = at["records"][i]
                if number(record.address) not in free:
                    yield Task(record, at)

    @staticmethod
    def chunks(first):
        for _ in range(MOST):
            if number(first) == 0:
                return
            yield first.dereference()
            first = first["next"]

    @staticmethod
    def lender(task):
        """The opener of its scope, if it runs as a plain call on that one's stack."""
        scope = task.record["x_scope"].cast(gdb.lookup_type("struct sk_scope").pointer())
        if task.state == 1 and number(scope) != 0 and number(scope["opener"]) != 0:
            if number(scope["opener"]["stack"]) == number(task.record["stack"]) != 0:
                yield number(scope["opener"])

    def find(self, text):
        try:
            return self.by_id[int(text, 0)]
        except (ValueError, KeyError):
            raise gdb.GdbError(f"skua: no coroutine has the id '{text}': see `skua tasks`") from None

    def describe(self, task):
        """The state in a word or two, and what it waits for."""
        if task.state >= 2:
            return ("ended" if task.state == 2 else "cancelled"), "kept by a handle"
        if task.state == 0:
            return "new", "has not begun"
        if task.address in self.running:
            return "running", f"on worker {number(self.running[task.address]['index'])}"
        if task.address in self.lent:
            return "lent", f"closes a scope: coroutine {self.lent[task.address].id} runs on its stack"
        if task.wait & 3 in (WAITING, REGISTERING):
            return "parked", waits_for(task)
        return "ready", "stands in a queue"


# ---- frames of a coroutine that does not run ----


class FrameId:
    def __init__(self, sp, pc):
        self.sp = sp
        self.pc = pc


class Detour(gdb.unwinder.Unwinder):
    """Puts a coroutine's frames behind the selected thread's innermost one, by what sk_switch has saved."""

    def __init__(self):
        super().__init__("skua-detour")
        self.sp = None

    def __call__(self, pending):
        if self.sp is None or self.inner is None:
            return None
        if number(pending.read_register("rsp")) != self.inner:
            return None
        word = gdb.lookup_type("unsigned long")

        def saved(i):
            return gdb.Value(self.sp + 8 * i).cast(word.pointer()).dereference()

        # Below the coroutine's own frames, so that the order of their addresses is right.
        info = pending.create_unwind_info(FrameId(gdb.Value(self.sp - 16).cast(word), pending.read_register("rip")))
        for i, register in enumerate(("r15", "r14", "r13", "r12", "rbx", "rbp", "rip")):
            info.add_saved_register(register, saved(i))
        info.add_saved_register("rsp", gdb.Value(self.sp + 56).cast(word))
        return info


detour = Detour()
gdb.unwinder.register_unwinder(None, detour, replace=True)


class standing_at:
    """with standing_at(task): its frames are those of the selected thread, from 1 on."""

    def __init__(self, task):
        self.task = task

    def __enter__(self):
        if gdb.selected_thread() is None:
            raise gdb.GdbError("skua: the program does not run, and there is no core file")
        gdb.newest_frame().select()
        self.inner = number(gdb.newest_frame().read_register("rsp"))
        detour.inner, detour.sp = self.inner, number(self.task.record["sp"])
        gdb.invalidate_cached_frames()

    def __exit__(self, *_):
        detour.sp = None
        gdb.invalidate_cached_frames()
        gdb.newest_frame().select()


def frames(task):
    with standing_at(task):
        frame = gdb.newest_frame().older()
        for _ in range(64):
            if frame is None or not frame.is_valid():
                return
            yield frame
            frame = frame.older()


def look_up(frame, name):
    try:
        value = frame.read_var(name)
        return None if value.is_optimized_out else value
    except (ValueError, gdb.error):
        return None


def file_of(frame):
    table = frame.find_sal().symtab
    return table.fullname() if table is not None else ""


def waits_for(task):
    if task.wait & WAIT_OP:
        op = task.record["op"].cast(gdb.lookup_type("struct sk_op").pointer())
        if number(op["wait"]["task"]) != task.address:
            return "an operation, which cannot be read"
        kinds = gdb.lookup_type("enum sk_op_kind")
        kind = next((f.name for f in kinds.fields() if f.enumval == number(op["kind"])), "?")
        return f"{kind.removeprefix('SK_OP_').lower()} on descriptor {int(op['fd'])}" + until(op["wait"])
    try:
        saved = gdb.Value(number(task.record["sp"]) + 48).cast(gdb.lookup_type("unsigned long").pointer())
        if number(saved.dereference()) == 0:
            return "unknown: its stack is not in this core file; gcore leaves stacks out, the kernel does not"
    except gdb.error as error:
        return f"unknown: its stack cannot be read: {error}"
    root = gdb.lookup_global_symbol("sk_park").symtab.fullname().removesuffix("runtime/sched.c")
    what, call, thing, wait = "", "", None, None
    try:
        for frame in frames(task):
            path = file_of(frame)
            if not path.startswith(root) or not any(path[len(root):].startswith(d) for d in ("runtime/", "sync/", "io/")):
                break
            name = frame.name() or ""
            call = name if name.startswith("skua_") or not call.startswith("skua_") else call
            what = OBJECTS.get(path.rsplit("/", 1)[1].removesuffix(".c"), what)
            wait = wait if wait is not None else look_up(frame, "wait")
            for variable_name in OBJECT_NAMES.get(what, ()):
                found = look_up(frame, variable_name)
                if found is not None and found.type.strip_typedefs().code == gdb.TYPE_CODE_PTR and number(found):
                    thing = number(found)
    except gdb.error as error:
        return f"its stack cannot be read: {error}"
    text = f"{what or 'something'}" + (f" {thing:#x}" if thing else "") + (f" in {call}" if call else "")
    return text + (until(wait) if wait is not None else "")


def until(wait):
    if wait.type.strip_typedefs().code == gdb.TYPE_CODE_PTR:
        wait = wait.dereference()
    try:
        deadline = int(wait["deadline"])
    except gdb.error:
        return ""
    return "" if deadline == NEVER or deadline <= 0 else f", until {deadline / 1e9:.3f} s (CLOCK_MONOTONIC)"


def table(heads, rows):
    rows = [heads] + [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(heads))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


# ---- commands ----


class Skua(gdb.Command):
    __doc__ = __doc__

    def __init__(self):
        super().__init__("skua", gdb.COMMAND_STACK, gdb.COMPLETE_NONE, True)


class Tasks(gdb.Command):
    """skua tasks: every coroutine: id, name, state, what it waits for, where it was spawned."""

    def __init__(self):
        super().__init__("skua tasks", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        process = Process()
        rows = [[task.id, task.name() or "-", *process.describe(task), task.site()] for task in process.tasks]
        table(["id", "name", "state", "waits for", "spawned"], rows)


def refuse(process, task):
    state, why = process.describe(task)
    if state == "running":
        raise gdb.GdbError(f"skua: coroutine {task.id} runs {why}: see `skua workers` for its thread, and use bt there")
    if task.address in process.lent or state in ("new", "ended", "cancelled"):
        raise gdb.GdbError(f"skua: coroutine {task.id} has no frames of its own: {state}, {why}")


class Backtrace(gdb.Command):
    """skua bt ID [OPTION...]: the backtrace of a coroutine that does not run."""

    def __init__(self):
        super().__init__("skua bt", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        id_, _, options = argument.strip().partition(" ")
        process = Process()
        task = process.find(id_)
        refuse(process, task)
        with standing_at(task):
            text = gdb.execute("backtrace " + options, to_string=True)
        print("".join(line for line in text.splitlines(keepends=True) if not line.startswith("#0 ")), end="")


class In(gdb.Command):
    """skua in ID COMMAND: a command of gdb in a coroutine that does not run; its frames begin at 1."""

    def __init__(self):
        super().__init__("skua in", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        id_, _, command = argument.strip().partition(" ")
        process = Process()
        task = process.find(id_)
        refuse(process, task)
        with standing_at(task):
            gdb.newest_frame().older().select()
            gdb.execute(command or "backtrace")


def thread_of(worker):
    for thread in gdb.selected_inferior().threads():
        try:
            if int.from_bytes(thread.handle(), "little") == number(worker["thread"]):
                return thread.num
        except (gdb.error, RuntimeError):
            pass
        if thread.name == f"skua-{number(worker['index'])}":
            return thread.num
    return "-"


class Workers(gdb.Command):
    """skua workers: their threads, and which coroutine each runs."""

    def __init__(self):
        super().__init__("skua workers", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        process = Process()
        rows = []
        for w in process.workers:
            task = process.by_address.get(number(w["current"]))
            counts = w["counts"]
            rows.append([number(w["index"]), thread_of(w), task.id if task else "-",
                         number(counts["x_dispatches"]), number(counts["x_parks"]), number(counts["x_steals"])])
        table(["worker", "thread", "runs", "dispatches", "parks", "steals"], rows)


for command in (Skua, Tasks, Backtrace, In, Workers):
    command()
