/* examples/pipeline.c - counts the words of a file on all cores, in three stages: one coroutine cuts
 * the file into chunks, several read and count them, and the first one adds up.
 *
 *     $ pipeline FILE                  as wc -w FILE */
#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <skua/skua.h>

enum { CHUNK_BYTES = 64 * 1024, COUNTERS_PER_WORKER = 4 };

struct pipeline {
    int fd;
    skua_chan *chunks, *counts; /* of off_t, where a chunk begins; of size_t, how many words */
};

static int cut(void *arg)
{
    struct pipeline *p = arg;
    off_t end = lseek(p->fd, 0, SEEK_END);
    int rc = end < 0 ? -ESPIPE : 0;
    for (off_t at = 0; at < end && rc == 0; at += CHUNK_BYTES)
        rc = skua_chan_send(p->chunks, &at, SKUA_NEVER);
    skua_chan_close(p->chunks); /* who counts gets what is left, and then -EPIPE */
    return rc;
}

/* A word belongs to the chunk in which it begins: the byte before it tells, which is read as well. */
static int count(void *arg)
{
    struct pipeline *p = arg;
    unsigned char text[1 + CHUNK_BYTES] = " "; /* the first chunk's byte before it */
    size_t words = 0;
    off_t at, n = 0;
    while (n >= 0 && skua_chan_recv(p->chunks, &at, SKUA_NEVER) == 0) {
        size_t have = at == 0;
        while (have < sizeof(text) && (n = skua_pread(p->fd, text + have, sizeof(text) - have,
                                                      at - 1 + (off_t)have, SKUA_NEVER)) > 0)
            have += (size_t)n;
        for (size_t i = 1; i < have; i++)
            words += isspace(text[i - 1]) && !isspace(text[i]);
    }
    return n < 0 ? (int)n : skua_chan_send(p->counts, &words, SKUA_NEVER);
}

static int run(void *arg)
{
    struct pipeline *p = arg;
    unsigned counters = COUNTERS_PER_WORKER * skua_workers();
    size_t words, total = 0;
    skua_scope scope;
    skua_scope_open(&scope, SKUA_FAIL_FAST, SKUA_NEVER);
    int rc = skua_spawn(&scope, cut, p);
    for (unsigned i = 0; i < counters && rc == 0; i++)
        rc = skua_spawn(&scope, count, p);
    if (rc < 0)
        skua_scope_cancel(&scope); /* our own waits in it as well */
    for (unsigned i = 0; i < counters; i++)
        total += skua_chan_recv(p->counts, &words, SKUA_NEVER) == 0 ? words : 0;
    int failure = skua_scope_close(&scope, SKUA_NEVER); /* the first of any of them */
    if (failure == 0)
        printf("%zu\n", total);
    return rc < 0 ? rc : failure;
}

int main(int argc, char **argv)
{
    struct pipeline p = {.fd = open(argc == 2 ? argv[1] : "", O_RDONLY | O_CLOEXEC)};
    int rc = p.fd < 0 ? -errno : skua_chan_new(&p.chunks, sizeof(off_t), 16, 0);
    if (rc == 0 && (rc = skua_chan_new(&p.counts, sizeof(size_t), 0, 0)) == 0)
        rc = skua_run(run, &p, NULL);
    skua_chan_unref(p.chunks);
    skua_chan_unref(p.counts);
    if (rc < 0)
        fprintf(stderr, "pipeline: %s; usage: pipeline FILE\n", skua_strerror(rc));
    return rc < 0;
}
