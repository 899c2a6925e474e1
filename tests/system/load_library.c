/* tests/system/load_library.c FILE local|global - loads libskua.so as a plugin does, uses it, and lets
 * go of it while a thread that used it lives on. The program itself links nothing of skua's. */
#define SKUA_NO_ERRNO_OVERRIDE
#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <skua/skua.h>

/* What glibc leaves for libraries that are loaded later is 512 bytes (glibc.rtld.optional_static_tls), for
 * all of them together. */
enum { MOST_TLS_BYTES = 64, ROUNDS = 100 };

#define CHECK(x)                                                      \
    do {                                                              \
        if (!(x)) {                                                   \
            fprintf(stderr, "load_library.c:%d: %s\n", __LINE__, #x); \
            exit(1);                                                  \
        }                                                             \
    } while (0)

/* The functions that it looks up: a pointer of each one's own type. */
#define EACH(F)        \
    F(skua_start)      \
    F(skua_stop)       \
    F(skua_call)       \
    F(skua_spawn)      \
    F(skua_chan_new)   \
    F(skua_chan_send)  \
    F(skua_chan_recv)  \
    F(skua_chan_unref) \
    F(skua_read) F(skua_write_full) F(skua_in)
#define DECLARE(f) static __typeof__(f) *the_##f;
EACH(DECLARE)

static void *library;

static void *find(const char *name)
{
    void *p = dlsym(library, name);
    CHECK(p != NULL);
    return p;
}

static void find_all(void)
{
#define FIND(f) *(void **)&the_##f = find(#f);
    EACH(FIND)
}

/* ---- what was loaded ---- */

struct seen {
    size_t tls_bytes;
    int skua, jemalloc;
};

static int look(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct seen *seen = arg;
    (void)size;
    seen->jemalloc += strstr(info->dlpi_name, "libjemalloc") != NULL;
    if (strstr(info->dlpi_name, "libskua") == NULL)
        return 0;
    seen->skua++;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_TLS)
            seen->tls_bytes += info->dlpi_phdr[i].p_memsz;
    return 0;
}

static struct seen look_around(void)
{
    struct seen seen = {0, 0, 0};
    dl_iterate_phdr(look, &seen);
    return seen;
}

/* ---- using it ---- */

static skua_chan *chan;
static int echo_fds[2];

static int send_one(void *arg)
{
    return the_skua_chan_send(chan, &arg, SKUA_NEVER);
}

static int spawn_all(void *arg)
{
    (void)arg;
    for (intptr_t i = 1; i <= ROUNDS; i++)
        CHECK(the_skua_spawn(SKUA_SCOPE_ROOT, send_one, (void *)i) == 0);
    return 0;
}

static int echo(void *arg)
{
    char byte;
    (void)arg;
    while (the_skua_read(echo_fds[1], &byte, 1, SKUA_NEVER) == 1)
        CHECK(the_skua_write_full(echo_fds[1], &byte, 1, NULL, SKUA_NEVER) == 0);
    return 0;
}

/* A plain thread, which gets a record of skua's that is given back at its end. */
static void use(void)
{
    intptr_t sum = 0, one;
    char byte;
    CHECK(the_skua_call(spawn_all, NULL, SKUA_NEVER) == 0);
    for (int i = 0; i < ROUNDS; i++) {
        CHECK(the_skua_chan_recv(chan, &one, SKUA_NEVER) == 0);
        sum += one;
    }
    CHECK(sum == ROUNDS * (ROUNDS + 1) / 2);
    for (int i = 0; i < ROUNDS; i++) {
        CHECK(write(echo_fds[0], &i, 1) == 1);
        CHECK(read(echo_fds[0], &byte, 1) == 1 && byte == (char)i);
    }
}

static pthread_barrier_t used, closed;

static void *use_and_outlive(void *arg)
{
    (void)arg;
    use();
    pthread_barrier_wait(&used);
    pthread_barrier_wait(&closed);
    return NULL;
}

static void load(const char *file, int flags)
{
    library = dlopen(file, RTLD_NOW | flags);
    if (library == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    find_all();
}

static void run(void)
{
    pthread_t thread;
    CHECK(the_skua_start(NULL) == 0);
    CHECK(the_skua_chan_new(&chan, sizeof(void *), 4, 0) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, echo_fds) == 0);
    CHECK(the_skua_spawn(SKUA_SCOPE_ROOT, echo, NULL) == 0);
    CHECK(pthread_create(&thread, NULL, use_and_outlive, NULL) == 0);
    pthread_barrier_wait(&used);
    CHECK(dlclose(library) == 0); /* the workers run on */
    CHECK(look_around().skua == 1);
    use();
    CHECK(the_skua_stop(SKUA_NEVER) == 0);
    pthread_barrier_wait(&closed);
    CHECK(pthread_join(thread, NULL) == 0);
    the_skua_chan_unref(chan);
    close(echo_fds[0]);
    close(echo_fds[1]);
}

int main(int argc, char **argv)
{
    CHECK(argc == 3);
    int flags = strcmp(argv[2], "global") == 0 ? RTLD_GLOBAL : RTLD_LOCAL;
    pthread_barrier_init(&used, NULL, 2);
    pthread_barrier_init(&closed, NULL, 2);
    for (int i = 0; i < 3; i++) {
        load(argv[1], flags);
        struct seen seen = look_around();
        CHECK(seen.skua == 1 && seen.jemalloc == 0);
        CHECK(seen.tls_bytes > 0 && seen.tls_bytes <= MOST_TLS_BYTES);
        run();
    }
    puts("loaded, used and let go");
    return 0;
}
