/* tests/system/stuck.c - a program that is stuck, for test_debugger.py: its coroutines wait for a channel,
 * a mutex, a pipe and a time, one has closed a scope over a child that waits; then it aborts. */
#include <stdlib.h>
#include <unistd.h>

#include <skua/skua.h>

static skua_mutex locked = SKUA_MUTEX_INIT;
static int ends[2];

static int waits_for_chan(void *arg)
{
    long v;
    return skua_chan_recv(arg, &v, SKUA_NEVER);
}

static int waits_for_mutex(void *arg)
{
    return skua_mutex_lock(arg, SKUA_NEVER);
}

static int waits_for_pipe(void *arg)
{
    char c;
    (void)arg;
    return (int)skua_read(ends[0], &c, 1, SKUA_NEVER);
}

static int sleeps(void *arg)
{
    (void)arg;
    return skua_sleep(SKUA_S(100000));
}

static int closes(void *arg)
{
    skua_scope s;
    if (skua_scope_open(&s, 0, SKUA_NEVER) < 0 || skua_spawn(&s, waits_for_chan, arg) < 0)
        abort();
    return skua_scope_close(&s, SKUA_NEVER);
}

static int first(void *arg)
{
    skua_scope s;
    skua_chan *c;
    skua_task_opts named = SKUA_TASK_OPTS_INIT;
    (void)arg;
    named.name = "sleeper";
    if (skua_chan_new(&c, sizeof(long), 0, 0) < 0 || pipe(ends) < 0 ||
        skua_scope_open(&s, 0, SKUA_NEVER) < 0 || skua_mutex_lock(&locked, SKUA_NEVER) < 0)
        return -1;
    if (skua_spawn(&s, waits_for_chan, c) < 0 || skua_spawn(&s, waits_for_mutex, &locked) < 0 ||
        skua_spawn(&s, waits_for_pipe, NULL) < 0 || skua_spawn(&s, closes, c) < 0 ||
        skua_spawn_opts(&s, sleeps, NULL, &named, NULL) < 0)
        return -1;
    skua_sleep(SKUA_MS(200));
    abort();
}

int main(void)
{
    return skua_run(first, NULL, NULL);
}
