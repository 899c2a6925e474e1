/* examples/big_write.c - writes 100 MB to a file while a ticker keeps ticking: whoever writes waits for
 * the disk, and nobody else does.
 *
 *     $ big_write [FILE]               by default a temporary file, which is gone afterwards
 *     wrote 100 MB in 0.12 s
 *     103 ticks of 1 ms, worst gap 2.4 ms */
#include <stdio.h>

#include <skua/skua.h>

enum { MEGABYTES = 100, CHUNK_BYTES = 1000 * 1000, PERIOD_MS = 1 };

struct watch {
    skua_chan *ticks;
    int count;
    int64_t worst_ns;
};

/* Until the ticker's channel is closed; the time up to then counts as a gap too. */
static int watch_ticks(void *arg)
{
    struct watch *w = arg;
    skua_time last = skua_now();
    for (;;) {
        int rc = skua_chan_recv(w->ticks, NULL, SKUA_NEVER);
        skua_time now = skua_now();
        if (now - last > w->worst_ns)
            w->worst_ns = now - last;
        if (rc < 0)
            return rc == -EPIPE ? 0 : rc;
        last = now;
        w->count++;
    }
}

static int write_chunks(int fd)
{
    static const char chunk[CHUNK_BYTES];
    skua_time start = skua_now();
    int rc = 0;
    for (int i = 0; i < MEGABYTES && rc == 0; i++)
        rc = skua_write_full(fd, chunk, sizeof(chunk), NULL, SKUA_NEVER);
    if (rc == 0)
        printf("wrote %d MB in %.2f s\n", MEGABYTES, (double)(skua_now() - start) / 1e9);
    return rc;
}

static int run(void *file)
{
    struct watch w = {0};
    skua_scope scope;
    int rc = skua_ticker(&w.ticks, SKUA_MS(PERIOD_MS));
    if (rc < 0)
        return rc;
    skua_scope_open(&scope, SKUA_FAIL_FAST, SKUA_NEVER);
    rc = skua_spawn(&scope, watch_ticks, &w);
    if (rc == 0)
        rc = write_chunks(fileno(file));
    skua_chan_close(w.ticks); /* ends the ticker, and whoever watches it */
    int failure = skua_scope_close(&scope, SKUA_NEVER);
    skua_chan_unref(w.ticks);
    printf("%d ticks of %d ms, worst gap %.1f ms\n", w.count, PERIOD_MS, (double)w.worst_ns / 1e6);
    return failure < 0 ? failure : rc;
}

int main(int argc, char **argv)
{
    if (argc > 2 || (argc == 2 && argv[1][0] == '-')) {
        fprintf(stderr, "usage: big_write [FILE]\n");
        return 1;
    }
    FILE *file = argc > 1 ? fopen(argv[1], "we") : tmpfile();
    int rc = file == NULL ? -errno : skua_run(run, file, NULL);
    if (rc < 0)
        fprintf(stderr, "big_write: %s\n", skua_strerror(rc));
    if (file != NULL)
        fclose(file);
    return rc < 0;
}
