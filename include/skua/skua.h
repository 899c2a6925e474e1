/* skua/skua.h - all of skua, and an errno that is safe in coroutines. */
#ifndef SKUA_SKUA_H
#define SKUA_SKUA_H

#include <skua/base.h>
#include <skua/chan.h>
#include <skua/debug.h>
#include <skua/errno.h>
#include <skua/fiber.h>
#include <skua/future.h>
#include <skua/gen.h>
#include <skua/io.h>
#include <skua/net.h>
#include <skua/runtime.h>
#include <skua/scope.h>
#include <skua/sync.h>
#include <skua/task.h>
#include <skua/time.h>

#endif
