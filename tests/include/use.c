/* tests/include/use.c - every public structure and macro, used as a program would. */
#include <unistd.h>

#include <skua/skua.h>

#include <errno.h> /* after ours: it must not bring its own macro back */

#include "use.h"

static skua_mutex mutex = SKUA_MUTEX_INIT;
static skua_event event = SKUA_EVENT_INIT;
static skua_wg wg = SKUA_WG_INIT;
static skua_rwlock rwlock = SKUA_RWLOCK_INIT;
static skua_cond cond = SKUA_COND_INIT;
static skua_sem sem = SKUA_SEM_INIT(5);
static skua_barrier barrier = SKUA_BARRIER_INIT(6);
static skua_once_flag once = SKUA_ONCE_INIT;
static const int64_t second_and_a_half = SKUA_S(1.5); /* a constant expression */

void USE_PASTE(use_, DIALECT)(struct use *out)
{
    skua_config config = SKUA_CONFIG_INIT;
    skua_task_opts task = SKUA_TASK_OPTS_INIT;
    skua_net_opts net = SKUA_NET_OPTS_INIT;
    skua_serve_opts serve = SKUA_SERVE_OPTS_INIT;
    skua_stats_view stats = SKUA_STATS_VIEW_INIT;
    const size_t sizes[USE_SIZES] = {
        sizeof(skua_config),     sizeof(skua_task_opts),  sizeof(skua_net_opts),
        sizeof(skua_serve_opts), sizeof(skua_stats_view), sizeof(skua_scope),
        sizeof(skua_timer),      sizeof(skua_mutex),      sizeof(skua_event),
        sizeof(skua_wg),         sizeof(skua_rwlock),     sizeof(skua_cond),
        sizeof(skua_sem),        sizeof(skua_barrier),    sizeof(skua_once_flag),
    };
    const size_t inits[USE_SIZES] = {config.size, task.size, net.size, serve.size,
                                     (size_t)stats.size};
    for (int i = 0; i < USE_SIZES; i++) {
        out->sizes[i] = sizes[i];
        out->inits[i] = inits[i];
    }
    out->rest_is_zero = config.workers == 0 && config.slice_ns == 0 && task.name == NULL &&
                        task.flags == 0 && net.backlog == 0 && serve.drain_ns == 0 &&
                        stats.spills == 0 && mutex.opaque[3] == 0 && event.opaque[3] == 0 &&
                        wg.opaque[3] == 0 && rwlock.opaque[0] == 0 && cond.opaque[0] == 0 &&
                        sem.opaque[1] == 0 && barrier.opaque[0] == 0 && once.opaque[0] == 0 &&
                        SKUA_SCOPE_ROOT == NULL && SKUA_NOW == 0 && SKUA_NEVER == INT64_MAX &&
                        SKUA_US(1) == 1000 && SKUA_MS(1) == 1000000 && SKUA_S(1) == 1000000000 &&
                        SKUA_S(0.5) == 500000000 && SKUA_MS(1.5F) == 1500000 &&
                        SKUA_US(-0.25) == -250 && SKUA_S(1 + 1) == 2000000000 &&
                        second_and_a_half == 1500000000 && SKUA_ON_WORKER(0) == 1u &&
                        SKUA_ON_WORKER(1 + 2) == 4u;
    out->rest_is_zero = out->rest_is_zero && POLLIN == 1 && UINT_MAX > 0; /* no header but skua.h */
    errno = 0;
    (void)!close(-1);
    out->errno_works = errno == EBADF && &errno == skua_errno_location();
}
