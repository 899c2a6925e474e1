/* tests/unit/runtime/env_table.c - prints the table of docs/TUNING.md from the one in runtime/base/env.c.
 * `ci/tuning` compares the two. */
#include "runtime/base/env.h"

int main(void)
{
    sk_env_document(1);
    return 0;
}
