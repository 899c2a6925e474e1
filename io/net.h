/* io/net.h - sending and receiving, for io/rw.c. */
#ifndef SK_IO_NET_H
#define SK_IO_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <skua/time.h>

#include "io/op.h"

/* Coroutine or plain thread. kind: SK_OP_RECV, SK_OP_SEND, SK_OP_RECVMSG or SK_OP_SENDMSG; flags as of
 * recv(2) and send(2); life: of the call that this is a part of. As sk_op_run; -ENOTSOCK. */
ssize_t sk_net_transfer(struct sk_op_life *life, enum sk_op_kind kind, int fd, const void *addr,
                        size_t n, int flags, skua_time dl);

/* Any thread. Whether fd may be ready where the operation would wait: it is then sent as one that may not
 * wait (is_nowait). addr and flags: as above, or NULL and 0. */
bool sk_net_may_disagree(enum sk_op_kind kind, int fd, const void *addr, int flags);

#endif
