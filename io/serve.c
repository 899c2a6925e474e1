/* io/serve.c - skua_serve: the accept loop, its limits, and its end.
 * The caller accepts; connections run in a scope that is opened inside a shield, so that what ends
 * the accepting does not reach them: they have the drain time to finish.
 * The scope that the call names is one that the caller has opened or stands in: its end reaches the
 * caller's waits, and so the accepting.
 *
 * A connection that ends while the loop waits for one to end tells it so. In each round the loop clears
 * the event, sets x_waiting, looks at the count, and waits; a connection that finds x_waiting set takes
 * it back, and who has taken it sets the event.
 * Order: SV1 a connection counts itself out, then loads x_waiting; SV2 the loop sets x_waiting, then loads
 *        the count. All four are seq_cst: the loop sees the place, or the connection finds x_waiting set
 *        in this round, or taken back since by another connection.
 *        SV3 acq_rel exchange that takes it back -> reads SV2's store: the clear of this round
 *        happened before, so the set that follows is not wiped out, and ends this round's wait.
 * A connection that has taken x_waiting in one round and sets the event in a later one makes the loop
 * look once more, and no harm. */
#include <skua/net.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>

#include <skua/runtime.h>
#include <skua/sync.h>

#include "io/fd.h"
#include "io/op.h"
#include "runtime/base/atomic.h"
#include "runtime/base/clock.h"
#include "runtime/base/log.h"
#include "runtime/current.h"
#include "runtime/scope.h"

#define DRAIN_DEFAULT_NS   SKUA_S(5)
#define SHORTAGE_PAUSE_NS  SKUA_MS(100) /* one may come free anywhere in the system */
#define TRANSIENT_PAUSE_NS SKUA_MS(10)
#define COMPLAINT_EVERY_NS SKUA_S(60)

enum { TRANSIENTS_IN_A_ROW = 16 };

struct serve {
    int (*conn)(int fd, void *arg);
    void *arg;
    unsigned max_conns; /* 0: no limit */
    int listen_fd;
    uint32_t generation; /* of listen_fd */
    skua_time dl;
    skua_scope conns;
    skua_event freed;
    _Atomic(uint32_t) x_live; /* connections */
    _Atomic(bool) x_waiting;  /* the loop waits for one to end */
};

/* What a connection's coroutine gets: a copy, in its record. */
struct conn {
    struct serve *serve;
    int fd;
    uint32_t generation;
};

static int run_conn(void *copy)
{
    const struct conn *c = copy;
    struct serve *s = c->serve;
    int rc = s->conn(c->fd, s->arg);
    sk_fd_close_if(c->fd, c->generation);
    sk_add_seq_cst(&s->x_live, UINT32_MAX);                                      /* SV1 */
    if (sk_load_seq_cst(&s->x_waiting) && sk_xchg_acq_rel(&s->x_waiting, false)) /* SV1, SV3 */
        skua_event_set(&s->freed);
    return rc;
}

/* Waits until a connection has ended or `ns` have passed. 0, or why serving ends. */
static int wait_for_end(struct serve *s, int64_t ns)
{
    skua_time until = skua_in(ns);
    if (s->dl < until)
        until = s->dl;
    int rc = skua_event_wait(&s->freed, until);
    if (rc != -ETIMEDOUT)
        return rc;
    skua_time now = sk_clock_now();
    return now < until || now >= s->dl ? rc : 0; /* before `until`: the deadline of a scope */
}

/* A round begins. */
static void ask_to_be_told(struct serve *s)
{
    skua_event_clear(&s->freed);
    sk_store_seq_cst(&s->x_waiting, true); /* SV2 */
}

/* One that ended a moment ago is not seen: what is waited for may come free anywhere in the system, and
 * `ns` bound the wait. */
static int wait_for_any_end(struct serve *s, int64_t ns)
{
    ask_to_be_told(s);
    return wait_for_end(s, ns);
}

/* Only the loop adds to the count: it is never more than what is read here. */
static int wait_for_place(struct serve *s)
{
    int rc = 0;
    if (s->max_conns == 0 || sk_load_relaxed(&s->x_live) < s->max_conns)
        return 0;
    while (rc == 0) {
        ask_to_be_told(s);
        if (sk_load_seq_cst(&s->x_live) < s->max_conns) /* SV2 */
            return 0;
        rc = wait_for_end(s, SKUA_NEVER);
    }
    return rc;
}

static void complain(int err)
{
    static struct sk_log_limit limit;
    struct rlimit files = {0, 0};
    if (!sk_log_may(&limit, sk_clock_now(), COMPLAINT_EVERY_NS))
        return;
    switch (err) {
    case -EMFILE:
        getrlimit(RLIMIT_NOFILE, &files);
        sk_log(SK_LOG_WARN,
               "accept: no descriptor is left (RLIMIT_NOFILE, %llu): connections wait until one is "
               "closed; raise it (ulimit -n, LimitNOFILE=) or set max_conns",
               (unsigned long long)files.rlim_cur);
        break;
    case -ENFILE:
        sk_log(SK_LOG_WARN, "accept: the system has no file left (sysctl fs.file-max): connections "
                            "wait until one is closed; raise it");
        break;
    default:
        sk_log(SK_LOG_WARN,
               "accept: no memory for one more connection (%s): connections wait; give the machine "
               "or the cgroup more, or set max_conns",
               strerrorname_np(-err));
    }
}

enum verdict { SERVE_GO_ON, SERVE_WAIT, SERVE_END };

/* What accept(2) says about itself, and what it says about a connection that is broken already. */
static enum verdict judge(int err)
{
    switch (err) {
    case -EMFILE:
    case -ENFILE:
    case -ENOBUFS:
    case -ENOMEM:
        return SERVE_WAIT;
    case -ECONNABORTED:
    case -EINTR:
    case -EPROTO:
    case -EPERM: /* a firewall's */
    case -ENETDOWN:
    case -ENOPROTOOPT:
    case -EHOSTDOWN:
    case -ENONET:
    case -EHOSTUNREACH:
    case -ENETUNREACH:
    case -ECONNRESET:
        return SERVE_GO_ON;
    default:
        return SERVE_END;
    }
}

/* Takes fd over, in every case. A connection that cannot be started for lack of memory is kept
 * until it can. */
static int start_conn(struct serve *s, int fd)
{
    struct conn c = {.serve = s, .fd = fd};
    for (;;) {
        int rc = sk_fd_generation(fd, &c.generation);
        if (rc == 0) {
            sk_add_relaxed(&s->x_live, 1u);
            rc = skua_spawn_copy(&s->conns, run_conn, &c, sizeof(c));
            if (rc == 0)
                return 0;
            sk_add_relaxed(&s->x_live, UINT32_MAX);
        }
        if (rc == -ENOMEM) {
            complain(rc);
            rc = wait_for_any_end(s, SHORTAGE_PAUSE_NS);
        }
        if (rc < 0) {
            skua_close(fd);
            return rc;
        }
    }
}

/* An accept that need not wait does not look at the end: a backlog that never runs empty must not
 * keep the service going. */
static int check_end(const struct serve *s)
{
    if (!sk_fd_is_same(s->listen_fd, s->generation))
        return -ECANCELED; /* closed; the number may be another listener's by now */
    if (s->dl != SKUA_NOW && s->dl <= sk_clock_now())
        return -ETIMEDOUT;
    if (!skua_cancelled())
        return 0;
    return skua_yield() < 0 ? -ECANCELED : -ETIMEDOUT; /* or the deadline of a scope has passed */
}

/* The accept carries the generation, so that no wait stands between the check and the use: if the
 * listener was closed while the loop waited, the number may be another listener's by now. */
static int accept_own(const struct serve *s)
{
    struct sk_op op;
    sk_op_init(&op, SK_OP_ACCEPT, s->listen_fd, NULL, 0, 0, SOCK_CLOEXEC);
    op.is_bound = true;
    op.generation = s->generation;
    int conn = (int)sk_op_run(&op, s->dl);
    if (conn >= 0)
        sk_fd_set_hint(conn, SK_FD_STREAM);
    return conn;
}

static int accept_all(struct serve *s)
{
    int rc = 0;
    for (unsigned in_a_row = 0; rc >= 0;) {
        rc = check_end(s);
        if (rc == 0)
            rc = wait_for_place(s);
        if (rc < 0)
            break;
        rc = accept_own(s);
        if (rc >= 0) {
            in_a_row = 0;
            rc = start_conn(s, rc);
            continue;
        }
        enum verdict verdict = judge(rc);
        if (verdict == SERVE_END)
            break;
        if (verdict == SERVE_WAIT) {
            complain(rc);
            rc = wait_for_any_end(s, SHORTAGE_PAUSE_NS);
        } else {
            rc = ++in_a_row < TRANSIENTS_IN_A_ROW ? 0 : wait_for_any_end(s, TRANSIENT_PAUSE_NS);
        }
    }
    return rc;
}

/* Connections may go on for the drain time; then they are cancelled and waited for. */
static void drain(struct serve *s, int64_t drain_ns)
{
    skua_time until =
        drain_ns < 0 ? SKUA_NOW : skua_in(drain_ns == 0 ? DRAIN_DEFAULT_NS : drain_ns);
    if (skua_scope_close(&s->conns, until) != -EBUSY)
        return;
    skua_scope_cancel(&s->conns);
    skua_scope_close(&s->conns, SKUA_NEVER);
}

static int serve_here(struct serve *s, int64_t drain_ns)
{
    int rc = sk_fd_generation(s->listen_fd, &s->generation);
    if (rc == 0)
        rc = sk_scope_open_apart(&s->conns, SKUA_COLLECT);
    if (rc < 0)
        return rc;
    rc = accept_all(s);
    drain(s, drain_ns);
    return rc;
}

struct call {
    struct serve *serve;
    int64_t drain_ns;
};

static int serve_called(void *arg)
{
    struct call *call = arg;
    return serve_here(call->serve, call->drain_ns);
}

int skua_serve(skua_scope *scope, int listen_fd, int (*conn)(int fd, void *), void *arg,
               const skua_serve_opts *o, skua_time dl)
{
    if (conn == NULL || sk_clock_check_deadline(dl) < 0 ||
        (o != NULL && (o->size < sizeof(*o) || o->flags != 0)))
        return -EINVAL;
    struct serve s = {
        .conn = conn,
        .arg = arg,
        .max_conns = o ? o->max_conns : 0,
        .listen_fd = listen_fd,
        .dl = dl,
        .freed = SKUA_EVENT_INIT,
    };
    struct call call = {.serve = &s, .drain_ns = o ? o->drain_ns : 0};
    if (!sk_scope_is_around(scope))
        return -EPERM;
    if (sk_current_worker() != NULL)
        return serve_here(call.serve, call.drain_ns);
    return skua_call(serve_called, &call, SKUA_NEVER);
}
