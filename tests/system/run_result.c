/* tests/system/run_result.c - prints what skua_run returns: 0, or why it could not start. */
#include <stdio.h>

#include <skua/skua.h>

static int run(void *arg)
{
    (void)arg;
    return 0;
}

int main(void)
{
    printf("%d\n", skua_run(run, NULL, NULL));
    return 0;
}
