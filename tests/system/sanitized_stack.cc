// tests/system/sanitized_stack.cc - built with -fsanitize=address,undefined against the library as it is
// installed. sanitized_stack WHAT: `ok` is correct and must be silent, each other one has a fault.
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

#include <skua/fiber.h>
#include <skua/gen.h>
#include <skua/skua.h>

extern "C" int __lsan_do_recoverable_leak_check(void);

#define NOINLINE __attribute__((noinline))
static volatile int sink;

static int run_many(int (*fn)(void *), int n)
{
    skua_scope s;
    if (skua_scope_open(&s, 0, SKUA_NEVER) < 0)
        return -1;
    for (int i = 0; i < n; i++)
        if (skua_spawn(&s, fn, nullptr) < 0)
            std::abort();
    return skua_scope_close(&s, SKUA_NEVER);
}

// Leaves the red zones of its frames behind.
NOINLINE static int throw_from(int depth)
{
    char room[512];
    std::memset(room, depth, sizeof(room));
    sink = room[depth];
    if (depth == 0)
        throw std::runtime_error("thrown");
    return throw_from(depth - 1) + room[3];
}

NOINLINE static void jump_from(jmp_buf *where, int depth)
{
    char room[256];
    std::memset(room, depth, sizeof(room));
    sink = room[4];
    if (depth == 0)
        std::longjmp(*where, 1);
    jump_from(where, depth - 1);
    sink = room[3];
}

// Writes where those frames were.
NOINLINE static void use_room()
{
    char room[4096];
    std::memset(room, 1, sizeof(room));
    sink = room[77];
}

static void throw_and_catch(int depth)
{
    try {
        throw_from(depth);
    } catch (std::exception &) {
        use_room();
    }
}

static int throws(void *)
{
    for (int i = 0; i < 20; i++) {
        throw_and_catch(i);
        skua_yield();
        use_room();
    }
    return 0;
}

static int jumps(void *)
{
    for (int i = 0; i < 20; i++) {
        jmp_buf where;
        if (setjmp(where) == 0)
            jump_from(&where, i);
        use_room();
        skua_yield();
    }
    return 0;
}

static int body(skua_gen *g, void *)
{
    for (int i = 0; i < 10; i++) {
        throw_and_catch(i);
        skua_gen_yield(g, nullptr, nullptr);
    }
    return 0;
}

static void *fiber(void *)
{
    for (;;) {
        throw_and_catch(3);
        skua_fiber_switch(skua_fiber_parent(), nullptr);
    }
}

static int bodies(void *)
{
    skua_gen *g;
    skua_fiber *f;
    if (skua_gen_new(&g, body, nullptr, 0, 0) < 0 || skua_fiber_new(&f, fiber, nullptr, 0) < 0)
        return -1;
    for (int i = 0; i < 20; i++) {
        skua_gen_next(g, nullptr, nullptr);
        throw_and_catch(2);
        skua_fiber_switch(f, nullptr);
        use_room();
        skua_yield();
    }
    skua_gen_free(g);
    skua_fiber_free(f);
    return 0;
}

NOINLINE static int recurse(int depth)
{
    char room[256];
    std::memset(room, depth, sizeof(room));
    skua_yield();
    return depth == 0 ? 0 : recurse(depth - 1) + room[0] - (char)depth;
}

static int recurses(void *)
{
    return recurse(150);
}

static int correct(void *)
{
    int rc = 0;
    for (auto fn : {throws, jumps, bodies, recurses})
        rc |= run_many(fn, 8);
    throw_and_catch(5);
    return rc;
}

static int overflows(void *)
{
    skua_yield();
    char room[16] = {0};
    volatile int i = 16;
    *(volatile char *)((char *)room + i) = 1;
    return 0;
}

static char *kept;

NOINLINE static void keep_local()
{
    char local[32] = {1};
    char *volatile p = local;
    kept = p;
}

static int uses_after_return(void *)
{
    skua_yield();
    keep_local();
    skua_yield();
    sink = *kept;
    return 0;
}

NOINLINE static void leak_here()
{
    void *volatile p = std::malloc(1234);
    sink = p != nullptr;
    skua_yield();
}

static int leaks(void *)
{
    leak_here();
    return 0;
}

// While the runtime still runs: what ended coroutines have left on their stacks must not hide it.
static int leaks_at_once(void *)
{
    run_many(leaks, 8);
    return __lsan_do_recoverable_leak_check() != 0 ? 0 : -1;
}

static skua_chan *held_by_channel;

static int holds(void *)
{
    void *volatile p = std::malloc(777);
    skua_sleep(SKUA_S(1000));
    std::free(p);
    return 0;
}

static int never_starts(void *arg)
{
    std::free(arg);
    return 0;
}

// Ends the process, while only parked stacks, records and channels hold memory. That is no leak.
static int exits(void *)
{
    skua_scope s;
    if (skua_scope_open(&s, 0, SKUA_NEVER) < 0)
        return -1;
    for (int i = 0; i < 4; i++)
        (void)skua_spawn(&s, holds, nullptr);
    skua_sleep(SKUA_MS(5));
    void *p = std::malloc(99);
    if (skua_chan_new(&held_by_channel, sizeof(p), 1, 0) < 0 ||
        skua_chan_send(held_by_channel, &p, SKUA_NEVER) < 0)
        return -1;
    p = std::malloc(55);
    (void)skua_spawn(&s, never_starts, p);
    std::exit(0);
}

static int run_two(int (*fn)(void *))
{
    return skua_run([](void *arg) { return run_many((int (*)(void *))arg, 2); }, (void *)fn,
                    nullptr);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "ok";
    int rc = !std::strcmp(what, "ok")         ? skua_run(correct, nullptr, nullptr)
             : !std::strcmp(what, "overflow") ? run_two(overflows)
             : !std::strcmp(what, "return")   ? run_two(uses_after_return)
             : !std::strcmp(what, "leak")     ? run_two(leaks)
             : !std::strcmp(what, "leak_now") ? skua_run(leaks_at_once, nullptr, nullptr)
             : !std::strcmp(what, "exit")     ? skua_run(exits, nullptr, nullptr)
                                              : -22;
    return rc < 0 ? 2 : 0;
}
