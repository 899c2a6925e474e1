/* Coroutines that are cancelled every few microseconds and begin anew, for tests in which nothing may
 * be lost by it. */
#ifndef LIVES_H
#define LIVES_H

#include "tests/stress/stress.h"

enum { LIVES_GO_ON, LIVES_OVER }; /* what a life's function returns */

/* Of any kind, most about to pass. */
static inline skua_time lives_deadline(uint64_t *random)
{
    uint32_t r = st_random(random);
    if (r % 8 < 3)
        return SKUA_NEVER;
    if (r % 8 == 3)
        return SKUA_NOW;
    return skua_in((int64_t)(r / 8 % 20000));
}

/* Waits a little, then ends the life: by its handle, by its scope, or not at all where the scope's
 * deadline does. */
static inline void lives_end(skua_scope *scope, skua_task *life, uint32_t how)
{
    if (how % 4 == 0)
        skua_sleep((int64_t)(how / 4 % 20000));
    else
        for (uint32_t yields = how / 4 % 8; yields > 0; yields--)
            skua_yield();
    if (how % 3 == 0)
        skua_cancel(life);
    else if (how % 3 == 1)
        skua_scope_cancel(scope);
}

/* One life after the other until one says that all is over. */
static inline int lives_run(int (*life)(void *), void *arg, uint64_t *random)
{
    int result = LIVES_GO_ON;
    while (result != LIVES_OVER) {
        skua_scope scope;
        skua_task *task;
        uint32_t how = st_random(random);
        skua_time dl = how % 3 == 2 ? skua_in((int64_t)(how / 3 % 30000)) : SKUA_NEVER;
        SKT_EQ(skua_scope_open(&scope, SKUA_COLLECT, dl), 0);
        SKT_EQ(skua_spawn_opts(&scope, life, arg, NULL, &task), 0);
        lives_end(&scope, task, how);
        int rc = skua_scope_close(&scope, SKUA_NEVER);
        SKT_TRUE(rc == 0 || rc == -ECANCELED);
        SKT_EQ(skua_join(task, &result, SKUA_NOW), 0);
        skua_task_unref(task);
        SKT_TRUE(result == LIVES_OVER || result == LIVES_GO_ON);
    }
    return 0;
}

#endif
