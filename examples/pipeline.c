/* examples/pipeline.c - counts the words of a file on all cores, in three stages: one coroutine
 * reads, as many as there are workers count, and the first one adds up.
 *
 *     $ pipeline FILE                  as wc -w FILE */
#include <ctype.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>

#include <skua/skua.h>

/* What goes through the first channel, by value. */
struct chunk {
    ssize_t len;
    bool in_word; /* the chunk before it ended in a word, which may go on here */
    char text[32 * 1024];
};

struct pipeline {
    int fd;
    skua_chan *chunks, *counts; /* of struct chunk; of size_t, one from each who counts */
};

static int read_file(void *arg)
{
    struct pipeline *p = arg;
    struct chunk c = {.in_word = false};
    int rc = 0;
    while (rc == 0 && (c.len = skua_read(p->fd, c.text, sizeof(c.text), SKUA_NEVER)) > 0) {
        rc = skua_chan_send(p->chunks, &c, SKUA_NEVER);
        c.in_word = !isspace((unsigned char)c.text[c.len - 1]);
    }
    skua_chan_close(p->chunks); /* who counts gets what is left, and then -EPIPE */
    return c.len < 0 ? (int)c.len : rc;
}

static int count_words(void *arg)
{
    struct pipeline *p = arg;
    struct chunk c;
    size_t words = 0;
    while (skua_chan_recv(p->chunks, &c, SKUA_NEVER) == 0) {
        for (ssize_t i = 0; i < c.len; i++) {
            bool space = isspace((unsigned char)c.text[i]);
            words += !space && !c.in_word;
            c.in_word = !space;
        }
    }
    return skua_chan_send(p->counts, &words, SKUA_NEVER);
}

static int run(void *arg)
{
    struct pipeline *p = arg;
    size_t words, total = 0;
    skua_scope scope;
    skua_scope_open(&scope, SKUA_FAIL_FAST, SKUA_NEVER);
    skua_spawn(&scope, read_file, p);
    for (unsigned i = 0; i < skua_workers(); i++)
        skua_spawn(&scope, count_words, p);
    for (unsigned i = 0; i < skua_workers(); i++)
        total += skua_chan_recv(p->counts, &words, SKUA_NEVER) == 0 ? words : 0;
    int rc = skua_scope_close(&scope, SKUA_NEVER); /* the first failure of any of them */
    if (rc == 0)
        printf("%zu\n", total);
    return rc;
}

int main(int argc, char **argv)
{
    struct pipeline p = {.fd = argc == 2 ? open(argv[1], O_RDONLY | O_CLOEXEC) : -1};
    int rc = p.fd < 0 ? -EINVAL : skua_chan_new(&p.chunks, sizeof(struct chunk), 4, 0);
    if (rc == 0 && (rc = skua_chan_new(&p.counts, sizeof(size_t), 0, 0)) == 0)
        rc = skua_run(run, &p, NULL);
    if (rc < 0)
        fprintf(stderr, "pipeline: %s; usage: pipeline FILE\n", skua_strerror(rc));
    return rc < 0;
}
