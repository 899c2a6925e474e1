# tests/include/nodiscard.sh - the compilers warn where the result of a spawn is ignored.
set -eu

body='
#include <skua/skua.h>
int f(void *arg);
void g(skua_scope *s) { CALL; }'

# compile CALL COMPILER OPTION...
compile() {
    local call=$1
    shift
    printf '%s\n' "${body/CALL/$call}" |
        "$@" -I "$SKT_SOURCE_DIR/include" -Wall -Wextra -Wpedantic -Werror -fsyntax-only - 2>&1
}

for call in 'skua_spawn(s, f, NULL)' 'skua_spawn_copy(s, f, s, 1)' 'skua_spawn_opts(s, f, NULL, NULL, NULL)'; do
    for how in "$CC -std=gnu11 -xc" "$CC -std=c11 -xc" "$CC -std=c17 -xc" "$CXX -std=c++17 -xc++"; do
        # shellcheck disable=SC2086
        if compile "$call" $how | grep -q unused-result; then
            :
        else
            echo "$how does not warn of an ignored $call" >&2
            exit 1
        fi
        # shellcheck disable=SC2086
        compile "(void)$call" $how
    done
done
