/* tests/docs/prelude.h - what the cells of docs/FROM_PYTHON.md and docs/FROM_GO.md take for granted. It
 * is only ever looked at by a compiler, never linked: see tests/docs/snippets.py. */
#ifndef TESTS_DOCS_PRELUDE_H
#define TESTS_DOCS_PRELUDE_H

#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/socket.h>

#include <skua/skua.h>

enum { N = 3 };

/* Functions: of a coroutine, of a callback, of a connection, of a range, of a generator, of a fiber; and
 * what is done with v. */
int f(void *arg);
int h(void *arg);
void fn(void *arg);
void on_task(skua_task *task, void *arg);
void on_future(skua_future *future, void *arg);
int conn(int client, void *arg);
int each(size_t begin, size_t end, void *arg);
int body(skua_gen *self, void *arg);
void *entry(void *value);
void use(int value);

extern void *x, *y;             /* what f and h are given */
extern int rc, i, result, v, w; /* results, an index, values */
extern bool ok, ready;          /* answers; what a condition waits for */
extern int64_t d;               /* a duration, as SKUA_S(5) */
extern skua_time now, when;     /* points in time */
extern int fd;                  /* a descriptor */
extern char buf[4096];          /* and its buffer, */
extern size_t n;                /* of which n bytes count */
extern off_t off;               /* at an offset */
extern ssize_t got;             /* how many came */
extern skua_scope s;            /* a scope, open where it is not opened */
extern skua_task *t, *u;        /* tasks */
extern skua_task_opts opts;     /* and their options */
extern skua_config cfg;         /* the runtime's */
extern skua_future *fut;        /* a future of int, */
extern skua_future *futs[N];    /* and several */
extern skua_chan *c, *a, *b;    /* channels of int */
extern skua_chan *ticks;        /* of a ticker */
extern skua_case cases[N];      /* of a select */
extern skua_gen *gen, *inner;   /* generators of int, that are sent int; */
extern skua_gen *self;          /* the one whose body this is */
extern skua_fiber *fib;
extern skua_timer timer;
extern skua_mutex m;
extern skua_rwlock rw;
extern skua_cond cond;
extern skua_sem sem;
extern skua_event event;
extern skua_barrier barrier;
extern skua_once_flag once;
extern skua_wg wg;
extern skua_local key;
extern atomic_long counter;

#endif
