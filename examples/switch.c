/* examples/switch.c - greenlet's first example: two fibers that switch to each other by name, without
 * a scheduler.
 *
 *     $ switch
 *     12
 *     34
 *     56
 *     78 */
#include <stdio.h>

#include <skua/skua.h>

struct pair {
    skua_fiber *first, *second;
};

static void *test1(void *arg)
{
    const struct pair *pair = arg;
    puts("12");
    skua_fiber_switch(pair->second, NULL); /* starts it */
    puts("56");
    skua_fiber_switch(pair->second, NULL); /* goes on where it left off */
    return NULL;                           /* never reached: nobody switches back */
}

static void *test2(void *arg)
{
    const struct pair *pair = arg;
    puts("34");
    skua_fiber_switch(pair->first, NULL);
    puts("78");
    return NULL; /* the end of a fiber: who made it goes on */
}

static int run(void *arg)
{
    (void)arg;
    struct pair pair;
    int rc = skua_fiber_new(&pair.first, test1, &pair, 0);
    if (rc < 0)
        return rc;
    rc = skua_fiber_new(&pair.second, test2, &pair, 0);
    if (rc == 0) {
        skua_fiber_switch(pair.first, NULL);
        skua_fiber_free(pair.second);
    }
    skua_fiber_free(pair.first); /* is suspended for good: its stack is given back */
    return rc;
}

int main(void)
{
    return skua_run(run, NULL, NULL) < 0;
}
