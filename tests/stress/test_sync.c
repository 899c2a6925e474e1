/* The objects of sync.h under deadlines and cancellation, by coroutines and a thread: everything is
 * counted, and the object's memory goes as soon as it may. With AddressSanitizer a call that touches
 * it later shows. */
#include <pthread.h>
#include <string.h>

#include "tests/stress/stress.h"

enum {
    USERS = 10, /* coroutines; and one thread */
    OPS = 16,   /* of each user */
    CANCELS = 4,
    SEATS = 4,   /* of the semaphore, and to pass the barrier */
    LATEST = 40, /* us: the latest deadline of a wait */
};

struct shared {
    skua_mutex mutex;
    skua_cond cond;
    skua_rwlock rwlock;
    skua_sem sem, left;
    skua_barrier barrier;
    skua_once_flag once;
    int users; /* whose calls have not all returned; under what `kind` says */
    _Atomic(int) x_users;
    int items; /* under mutex */
};

/* What was counted; outlives the object. */
static struct {
    uint64_t under_lock;                       /* under the lock of the kind */
    _Atomic(int) inside, writers;              /* at this moment */
    _Atomic(uint64_t) done, put, got, last;    /* calls that returned success */
    _Atomic(uint64_t) timed_out, cancelled;    /* and those that did not */
    _Atomic(uint64_t) ran, succeeded, failing; /* of skua_once's function */
} seen;

struct user {
    struct shared *x;
    const struct kind *kind;
    uint64_t random;
};

struct kind {
    int (*use)(struct user *u);               /* one operation */
    bool (*leave)(struct shared *x);          /* a user's last access; true: it is to free x */
    void (*wait_for_users)(struct shared *x); /* NULL: the last user frees x */
    void (*check)(void);
};

static skua_time moment(struct user *u)
{
    uint32_t r = st_random(&u->random);
    return r % 16 == 0 ? SKUA_NOW : skua_in(SKUA_US(r % LATEST));
}

static void dawdle(struct user *u)
{
    if (st_random(&u->random) % 4 == 0)
        skua_yield();
}

static bool has_failed(int rc)
{
    if (rc >= 0)
        return false;
    SKT_TRUE(rc == -ETIMEDOUT || rc == -ECANCELED || rc == -EAGAIN);
    atomic_fetch_add(rc == -ECANCELED ? &seen.cancelled : &seen.timed_out, 1);
    return true;
}

/* ---- mutex ---- */

static int use_mutex(struct user *u)
{
    int rc = skua_mutex_lock(&u->x->mutex, moment(u));
    if (has_failed(rc))
        return rc;
    SKT_EQ(atomic_fetch_add(&seen.inside, 1), 0);
    seen.under_lock++;
    atomic_fetch_add(&seen.done, 1);
    dawdle(u);
    SKT_EQ(atomic_fetch_sub(&seen.inside, 1), 1);
    SKT_EQ(skua_mutex_unlock(&u->x->mutex), 0);
    return 0;
}

static bool leave_mutex(struct shared *x)
{
    SKT_EQ(skua_mutex_lock(&x->mutex, SKUA_NEVER), 0);
    bool last = --x->users == 0;
    SKT_EQ(skua_mutex_unlock(&x->mutex), 0);
    return last;
}

static void check_lock(void)
{
    SKT_EQ(seen.under_lock, atomic_load(&seen.done));
}

/* ---- rwlock ---- */

static int use_rwlock(struct user *u)
{
    bool writes = st_random(&u->random) % 3 == 0;
    skua_rwlock *lock = &u->x->rwlock;
    int rc = writes ? skua_rwlock_wrlock(lock, moment(u)) : skua_rwlock_rdlock(lock, moment(u));
    if (has_failed(rc))
        return rc;
    SKT_EQ(atomic_fetch_add(&seen.writers, writes), 0);
    int inside = atomic_fetch_add(&seen.inside, 1);
    if (writes) {
        SKT_EQ(inside, 0);
        seen.under_lock++;
        atomic_fetch_add(&seen.done, 1);
    }
    dawdle(u);
    atomic_fetch_sub(&seen.inside, 1);
    atomic_fetch_sub(&seen.writers, writes);
    SKT_EQ(skua_rwlock_unlock(lock), 0);
    return 0;
}

static bool leave_rwlock(struct shared *x)
{
    SKT_EQ(skua_rwlock_wrlock(&x->rwlock, SKUA_NEVER), 0);
    bool last = --x->users == 0;
    SKT_EQ(skua_rwlock_unlock(&x->rwlock), 0);
    return last;
}

/* ---- cond ---- */

static int put_item(struct shared *x, skua_time dl)
{
    int rc = skua_mutex_lock(&x->mutex, dl);
    if (has_failed(rc))
        return rc;
    x->items++;
    atomic_fetch_add(&seen.put, 1);
    SKT_EQ(skua_cond_signal(&x->cond), 0);
    SKT_EQ(skua_mutex_unlock(&x->mutex), 0);
    return 0;
}

static int get_item(struct shared *x, skua_time dl)
{
    int rc = skua_mutex_lock(&x->mutex, dl);
    if (has_failed(rc))
        return rc;
    while (rc == 0 && x->items == 0)
        rc = skua_cond_wait(&x->cond, &x->mutex, dl);
    if (!has_failed(rc)) {
        x->items--;
        atomic_fetch_add(&seen.got, 1);
    }
    SKT_EQ(skua_mutex_unlock(&x->mutex), 0);
    return rc;
}

static int use_cond(struct user *u)
{
    bool puts = st_random(&u->random) % 2 == 0;
    return puts ? put_item(u->x, moment(u)) : get_item(u->x, moment(u));
}

static bool leave_cond(struct shared *x)
{
    SKT_EQ(skua_mutex_lock(&x->mutex, SKUA_NEVER), 0);
    if (--x->users == 0)
        SKT_EQ(skua_cond_broadcast(&x->cond), 0);
    SKT_EQ(skua_mutex_unlock(&x->mutex), 0);
    return false;
}

static void wait_cond(struct shared *x)
{
    SKT_EQ(skua_mutex_lock(&x->mutex, SKUA_NEVER), 0);
    while (x->users > 0)
        SKT_EQ(skua_cond_wait(&x->cond, &x->mutex, st_patience()), 0);
    SKT_EQ((uint64_t)x->items, atomic_load(&seen.put) - atomic_load(&seen.got));
    SKT_EQ(skua_mutex_unlock(&x->mutex), 0);
}

static void check_cond(void)
{
    SKT_LE(atomic_load(&seen.got), atomic_load(&seen.put));
}

/* ---- sem ---- */

static int use_sem(struct user *u)
{
    int n = 1 + (int)(st_random(&u->random) % SEATS);
    int rc = skua_sem_wait(&u->x->sem, (unsigned)n, moment(u));
    if (has_failed(rc))
        return rc;
    SKT_LE(atomic_fetch_add(&seen.inside, n) + n, SEATS);
    dawdle(u);
    atomic_fetch_sub(&seen.inside, n);
    SKT_EQ(skua_sem_post(&u->x->sem, (unsigned)n), 0);
    return 0;
}

static bool leave_sem(struct shared *x)
{
    SKT_EQ(skua_sem_post(&x->left, 1), 0);
    return false;
}

static void wait_sem(struct shared *x)
{
    SKT_EQ(skua_sem_wait(&x->left, USERS + 1, st_patience()), 0);
    SKT_EQ(skua_sem_wait(&x->sem, SEATS, SKUA_NOW), 0); /* all came back */
    SKT_EQ(skua_sem_wait(&x->sem, 1, SKUA_NOW), -EAGAIN);
}

/* ---- barrier ---- */

static int use_barrier(struct user *u)
{
    int rc = skua_barrier_wait(&u->x->barrier, moment(u));
    if (has_failed(rc))
        return rc;
    atomic_fetch_add(&seen.done, 1);
    atomic_fetch_add(&seen.last, (uint64_t)rc);
    return 0;
}

static bool leave_counted(struct shared *x)
{
    return atomic_fetch_sub(&x->x_users, 1) == 1;
}

static void check_barrier(void)
{
    SKT_EQ(atomic_load(&seen.done), SEATS * atomic_load(&seen.last));
}

/* ---- once ---- */

static int run_rarely_well(void *arg)
{
    struct user *u = arg;
    SKT_EQ(atomic_fetch_add(&seen.inside, 1), 0);
    SKT_EQ(atomic_load(&seen.succeeded), 0u);
    atomic_fetch_add(&seen.ran, 1);
    dawdle(u);
    bool fails = st_random(&u->random) % 32 != 0;
    atomic_fetch_add(fails ? &seen.failing : &seen.succeeded, 1);
    atomic_fetch_sub(&seen.inside, 1);
    return fails ? -ENOENT : 1;
}

static int use_once(struct user *u)
{
    int rc = skua_once(&u->x->once, run_rarely_well, u, moment(u));
    if (rc == -ENOENT)
        atomic_fetch_add(&seen.got, 1);
    else if (!has_failed(rc))
        SKT_EQ(atomic_load(&seen.succeeded), 1u);
    return rc == -ENOENT ? 0 : rc;
}

static void check_once(void)
{
    SKT_LE(atomic_load(&seen.succeeded), 1u);
    SKT_EQ(atomic_load(&seen.failing), atomic_load(&seen.got)); /* each its caller's */
    SKT_EQ(atomic_load(&seen.ran), atomic_load(&seen.failing) + atomic_load(&seen.succeeded));
}

/* ---- a round ---- */

static void discard(struct shared *x)
{
    memset(x, 0xA5, sizeof(*x));
    free(x);
}

static int use_often(void *arg)
{
    struct user *u = arg;
    for (int i = 0; i < OPS; i++)
        if (u->kind->use(u) == -ECANCELED)
            break;
    (void)skua_shield(1); /* it says that it leaves, cancelled or not */
    if (u->kind->leave(u->x))
        discard(u->x);
    (void)skua_shield(0);
    return 0;
}

static void *use_in_thread(void *arg)
{
    (void)use_often(arg);
    return NULL;
}

static struct shared *new_shared(void)
{
    struct shared *x = malloc(sizeof(*x));
    SKT_NOT_NULL(x);
    *x = (struct shared){
        .mutex = SKUA_MUTEX_INIT,
        .cond = SKUA_COND_INIT,
        .rwlock = SKUA_RWLOCK_INIT,
        .sem = SKUA_SEM_INIT(SEATS),
        .left = SKUA_SEM_INIT(0),
        .barrier = SKUA_BARRIER_INIT(SEATS),
        .once = SKUA_ONCE_INIT,
        .users = USERS + 1,
        .x_users = USERS + 1,
    };
    return x;
}

static void play_round(const struct kind *kind, uint64_t number)
{
    uint64_t random = st_seed(number);
    struct shared *x = new_shared();
    struct user users[USERS + 1];
    skua_task *tasks[USERS];
    pthread_t thread;
    skua_scope s;
    memset(&seen, 0, sizeof(seen));
    SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, SKUA_NEVER), 0);
    for (uint64_t i = 0; i <= USERS; i++)
        users[i] = (struct user){x, kind, st_seed(number * 64 + i + 1)};
    SKT_EQ(pthread_create(&thread, NULL, use_in_thread, &users[USERS]), 0);
    for (int i = 0; i < USERS; i++)
        SKT_EQ(skua_spawn_opts(&s, use_often, &users[i], NULL, &tasks[i]), 0);
    for (int i = 0; i < CANCELS; i++) {
        skua_sleep(SKUA_US(st_random(&random) % (2 * LATEST)));
        (void)skua_cancel(tasks[st_random(&random) % USERS]);
    }
    if (kind->wait_for_users != NULL) {
        kind->wait_for_users(x);
        discard(x);
    }
    (void)skua_scope_close(&s, SKUA_NEVER);
    SKT_EQ(pthread_join(thread, NULL), 0);
    for (int i = 0; i < USERS; i++)
        skua_task_unref(tasks[i]);
    SKT_EQ(atomic_load(&seen.inside), 0);
    if (kind->check != NULL)
        kind->check();
}

static int play(void *arg)
{
    uint64_t timed_out = 0, cancelled = 0, rounds = skt_scaled(200);
    skua_time end = st_patience();
    for (uint64_t i = 0; i < rounds || (!(timed_out && cancelled) && skua_now() < end); i++) {
        play_round(arg, i);
        timed_out += atomic_load(&seen.timed_out);
        cancelled += atomic_load(&seen.cancelled);
    }
    SKT_GT(timed_out, 0u); /* else it proves little */
    SKT_GT(cancelled, 0u);
    return 0;
}

static void play_everywhere(struct kind *kind)
{
    st_run(play, kind, 1);
    st_run(play, kind, 2);
    st_run(play, kind, 8);
}

/* Goal: one at a time; who holds it last frees it, while the one before is still in its unlock. */
SKT_TEST(stress, mutex)
{
    play_everywhere(&(struct kind){use_mutex, leave_mutex, NULL, check_lock});
}

/* Goal: readers, or one writer; freed as the mutex. */
SKT_TEST(stress, rwlock)
{
    play_everywhere(&(struct kind){use_rwlock, leave_rwlock, NULL, check_lock});
}

/* Goal: the mutex is held after every wait; freed by who waits for the last broadcast. */
SKT_TEST(stress, cond)
{
    play_everywhere(&(struct kind){use_cond, leave_cond, wait_cond, check_cond});
}

/* Goal: never more than there are, and none is lost; freed by who waits for the last post. */
SKT_TEST(stress, sem)
{
    play_everywhere(&(struct kind){use_sem, leave_sem, wait_sem, NULL});
}

/* Goal: a round is passed by as many as it takes, or by none. */
SKT_TEST(stress, barrier)
{
    play_everywhere(&(struct kind){use_barrier, leave_counted, NULL, check_barrier});
}

/* Goal: one at a time, until one succeeds; a failure is its caller's. */
SKT_TEST(stress, once)
{
    play_everywhere(&(struct kind){use_once, leave_counted, NULL, check_once});
}
