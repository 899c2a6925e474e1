/* examples/prime_sieve.c - the sieve of Eratosthenes: each coroutine of a chain drops the multiples of
 * one prime, and what passes all is the next. The channels between them have no buffer.
 *
 *     $ prime_sieve [N]                the first N primes, 10 by default */
#include <stdio.h>
#include <stdlib.h>

#include <skua/skua.h>

struct filter {
    skua_chan *in, *out;
    long prime;
};

/* 2, 3, 4, ... until it is cancelled, as a call that waits then says. */
static int generate(void *out)
{
    int rc = 0;
    for (long n = 2; rc == 0; n++)
        rc = skua_chan_send(out, &n, SKUA_NEVER);
    return rc;
}

static int pass_on(void *arg)
{
    const struct filter *f = arg;
    long n;
    int rc = 0;
    while (rc == 0 && (rc = skua_chan_recv(f->in, &n, SKUA_NEVER)) == 0) {
        if (n % f->prime != 0)
            rc = skua_chan_send(f->out, &n, SKUA_NEVER);
    }
    return rc;
}

/* What comes out of the last channel is prime, and gets a filter of its own. */
static int sieve(skua_scope *scope, skua_chan **chans, long count)
{
    int rc = skua_chan_new(&chans[0], sizeof(long), 0, 0);
    if (rc == 0)
        rc = skua_spawn(scope, generate, chans[0]);
    for (long i = 0; i < count && rc == 0; i++) {
        struct filter f = {.in = chans[i]};
        rc = skua_chan_recv(f.in, &f.prime, SKUA_NEVER);
        if (rc < 0)
            break;
        printf("%ld\n", f.prime);
        rc = skua_chan_new(&chans[i + 1], sizeof(long), 0, 0);
        f.out = chans[i + 1];
        if (rc == 0)
            rc = skua_spawn_copy(scope, pass_on, &f, sizeof(f));
    }
    return rc;
}

static int run(void *arg)
{
    long count = *(long *)arg;
    skua_chan **chans = calloc((size_t)count + 1, sizeof(*chans));
    skua_scope scope;
    if (chans == NULL)
        return -ENOMEM;
    skua_scope_open(&scope, SKUA_FAIL_FAST, SKUA_NEVER);
    int rc = sieve(&scope, chans, count);
    skua_scope_cancel(&scope);
    skua_scope_close(&scope, SKUA_NEVER); /* nobody uses the channels any more */
    for (long i = 0; i <= count && chans[i] != NULL; i++)
        skua_chan_unref(chans[i]);
    free(chans);
    return rc;
}

int main(int argc, char **argv)
{
    long count = argc == 1 ? 10 : argc == 2 ? atol(argv[1]) : 0;
    if (count < 1)
        fprintf(stderr, "usage: prime_sieve [N]\n");
    return count < 1 || skua_run(run, &count, NULL) < 0;
}
