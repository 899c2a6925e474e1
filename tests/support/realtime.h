/* A thread of a real-time class that meets a lock of a thread of the ordinary class, on one core. */
#ifndef TESTS_SUPPORT_REALTIME_H
#define TESTS_SUPPORT_REALTIME_H

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "tests/support/skt.h"

enum {
    /* What a real-time thread may burn in waits that another thread must end. A spinning one burns
     * 950 ms before the kernel lets the ordinary class run. */
    RTC_CPU_MAX_MS = 400,
};

/* Binds the calling thread to the first core that it may use; realtime: as SCHED_FIFO, else as
 * SCHED_OTHER. 0 or an errno. */
static inline int rtc_settle(bool realtime)
{
    cpu_set_t set, one;
    CPU_ZERO(&one);
    if (sched_getaffinity(0, sizeof(set), &set) != 0)
        return errno;
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &set)) {
            CPU_SET(cpu, &one);
            break;
        }
    int rc = pthread_setaffinity_np(pthread_self(), sizeof(one), &one);
    struct sched_param priority = {.sched_priority = realtime};
    /* A thread inherits the class of the one that creates it. */
    return rc != 0 ? rc
                   : pthread_setschedparam(pthread_self(), realtime ? SCHED_FIFO : SCHED_OTHER,
                                           &priority);
}

static inline void *rtc_try(void *rc)
{
    *(int *)rc = rtc_settle(true);
    return NULL;
}

/* Skips the test where no thread may be made a real-time one. */
static inline void rtc_require(void)
{
    pthread_t thread;
    int rc = 0;
    SKT_EQ(pthread_create(&thread, NULL, rtc_try, &rc), 0);
    SKT_EQ(pthread_join(thread, NULL), 0);
    if (rc != 0)
        SKT_SKIP("SCHED_FIFO needs root, CAP_SYS_NICE or RLIMIT_RTPRIO (errno %d)", rc);
}

static inline int64_t rtc_thread_cpu_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

#endif
