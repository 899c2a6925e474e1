/* examples/pool_map.c - multiprocessing's Pool.map: one function for all elements, on all workers.
 *
 *     $ pool_map
 *     [1, 4, 9, 16, 25, 36, 49, 64, 81, 100] */
#include <stdio.h>

#include <skua/skua.h>

enum { COUNT = 10 };

/* Gets a range, so that small work is not spawned one by one. */
static int square(size_t begin, size_t end, void *arg)
{
    long *numbers = arg;
    for (size_t i = begin; i < end; i++)
        numbers[i] *= numbers[i];
    return 0;
}

static int run(void *arg)
{
    (void)arg;
    long numbers[COUNT];
    for (long i = 0; i < COUNT; i++)
        numbers[i] = i + 1;
    int rc = skua_for(COUNT, 1, square, numbers, SKUA_NEVER); /* 1: Pool.map's chunksize */
    if (rc < 0)
        return rc;
    for (int i = 0; i < COUNT; i++)
        printf("%s%ld", i == 0 ? "[" : ", ", numbers[i]);
    puts("]");
    return 0;
}

int main(void)
{
    return skua_run(run, NULL, NULL) < 0;
}
