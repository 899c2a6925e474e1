/* examples/producer_consumer.c - the first coroutine of many: a generator that is sent numbers and
 * answers each with "200 OK". It runs when its producer asks it to, and nothing else is scheduled.
 *
 *     $ producer_consumer
 *     [PRODUCER] Producing 1...
 *     [CONSUMER] Consuming 1...
 *     [PRODUCER] Consumer return: 200 OK
 *     ...                              five rounds */
#include <stdio.h>

#include <skua/skua.h>

enum { ROUNDS = 5 };

/* n = yield reply: hands the reply out, and goes on with what the producer sends next. */
static int consumer(skua_gen *self, void *arg)
{
    (void)arg;
    const char *reply = "";
    int n;
    while (skua_gen_yield(self, &reply, &n) == 0) {
        printf("[CONSUMER] Consuming %d...\n", n);
        reply = "200 OK";
    }
    return 0; /* -ECANCELED: the producer has freed us */
}

static int produce(skua_gen *to)
{
    const char *reply;
    int rc = skua_gen_next(to, NULL, &reply); /* runs it up to its first yield */
    for (int n = 1; n <= ROUNDS && rc == 1; n++) {
        printf("[PRODUCER] Producing %d...\n", n);
        rc = skua_gen_next(to, &n, &reply); /* reply = consumer.send(n) */
        if (rc == 1)
            printf("[PRODUCER] Consumer return: %s\n", reply);
    }
    return rc;
}

static int run(void *arg)
{
    (void)arg;
    skua_gen *to;
    int rc = skua_gen_new(&to, consumer, NULL, sizeof(const char *), sizeof(int));
    if (rc < 0)
        return rc;
    rc = produce(to);
    skua_gen_free(to); /* consumer.close() */
    return rc;
}

int main(void)
{
    return skua_run(run, NULL, NULL) < 0;
}
