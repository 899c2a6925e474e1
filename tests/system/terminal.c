/* tests/system/terminal.c WHAT - reads a line of standard input, or writes one to standard output, in a
 * coroutine or (WHAT begins with p) in the main thread, and says on standard error what came of it.
 * WHAT: r, w: read, write; R, W: by readv, writev; n: read with SKUA_NOW until there is something;
 * i: the reading signal is ignored; b: it is blocked. */
#define SKUA_NO_ERRNO_OVERRIDE
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>

#include <skua/skua.h>

static char line[100];

static ssize_t read_now(void)
{
    ssize_t rc;
    while ((rc = skua_read(0, line, sizeof(line), SKUA_NOW)) == -EAGAIN)
        skua_sleep(SKUA_MS(1));
    return rc;
}

static ssize_t transfer(char what)
{
    struct iovec in = {line, sizeof(line)}, out = {(void *)"written\n", 8};
    switch (what) {
    case 'w':
        return skua_write(1, "written\n", 8, SKUA_NEVER);
    case 'W':
        return skua_writev(1, &out, 1, SKUA_NEVER);
    case 'R':
        return skua_readv(0, &in, 1, SKUA_NEVER);
    case 'n':
        return read_now();
    default:
        return skua_read(0, line, sizeof(line), SKUA_NEVER);
    }
}

static int act(void *arg)
{
    fprintf(stderr, "begun\n");
    ssize_t rc = transfer(*(char *)arg);
    fprintf(stderr, rc < 0 ? "%s\n" : "done\n", skua_strerror((int)rc));
    return 0;
}

int main(int argc, char **argv)
{
    char *what = argv[argc - 1];
    sigset_t in;
    sigemptyset(&in);
    sigaddset(&in, SIGTTIN);
    if (*what == 'i')
        signal(SIGTTIN, SIG_IGN);
    if (*what == 'b')
        pthread_sigmask(SIG_BLOCK, &in, NULL);
    if (*what != 'p')
        return skua_run(act, what, NULL);
    int rc = skua_start(NULL);
    return rc < 0 ? rc : act(what + 1) | skua_stop(SKUA_NEVER);
}
