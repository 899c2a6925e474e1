/* tests/unit/runtime/test_throw.c - exceptions of C++ in the bodies of generators and fibers (their
 * bodies are in throw.cc). */
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "tests/unit/runtime/rt_test.h"

int throw_catch_throw(skua_gen *g, void *arg);
int throw_out(skua_gen *g, void *arg);
void *throw_out_of_fiber(void *arg);
int throw_try_next(skua_gen *g);

/* Goal: what is thrown in a body is caught in it, before a yield and after. */
RT_TEST(throw, inside)
{
    skua_gen *a = NULL, *b = NULL;
    int unwound = 0, caught = 0;
    SKT_EQ(skua_gen_new(&a, throw_catch_throw, &unwound, sizeof(int), 0), 0);
    SKT_EQ(skua_gen_new(&b, throw_catch_throw, &unwound, sizeof(int), 0), 0);
    for (int i = 1; i <= 3; i++) {
        SKT_EQ(skua_gen_next(a, NULL, &caught), 1);
        SKT_EQ(caught, i);
        SKT_EQ(skua_yield(), 0);
        SKT_EQ(skua_gen_next(b, NULL, &caught), 1);
        SKT_EQ(caught, i);
        SKT_EQ(unwound, 2 * i);
    }
    SKT_EQ(throw_try_next(a), 0);
    skua_gen_free(a);
    skua_gen_free(b);
}

static int unwound;

static void prepare_to_die(void)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    signal(SIGABRT, SIG_DFL);
}

static void leave_generator(void *arg)
{
    skua_gen *g = NULL;
    (void)arg;
    prepare_to_die();
    SKT_EQ(skua_gen_new(&g, throw_out, &unwound, 0, 0), 0);
    (void)throw_try_next(g);
}

static void leave_fiber(void *arg)
{
    skua_fiber *f = NULL;
    (void)arg;
    prepare_to_die();
    SKT_EQ(skua_fiber_new(&f, throw_out_of_fiber, &unwound, 0), 0);
    (void)skua_fiber_switch(f, NULL);
}

static void check_terminated(void (*fn)(void *))
{
    char out[4096];
    int status = skt_in_child(fn, NULL, out, sizeof(out));
    SKT_STR_HAS(out, "terminate called");
    SKT_TRUE(WIFSIGNALED(status));
    SKT_EQ(WTERMSIG(status), SIGABRT);
}

/* Goal: what would leave a body ends the process, as it does that would leave main; no caller on
 * another stack catches it. */
SKT_TEST(throw, out_of_the_body)
{
    check_terminated(leave_generator);
    check_terminated(leave_fiber);
}
