/* Memory as the kernel counts it. */
#ifndef DRYAD_NET_FLOOR_PRIVATE_H
#define DRYAD_NET_FLOOR_PRIVATE_H

#include "worker.h"

/* Bytes of memory that are private to this process. */
static inline long long private_bytes(void)
{
    char line[256];
    long long kilobytes, total = 0;
    FILE *file = fopen("/proc/self/smaps_rollup", "r");
    check(file != NULL, "smaps_rollup");
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "Private_Clean: %lld", &kilobytes) == 1 || sscanf(line, "Private_Dirty: %lld", &kilobytes) == 1)
            total += kilobytes;
    fclose(file);
    return total * 1024;
}

#endif
