/* Asking for memory before it is needed. */
#ifndef DRYAD_NET_PREFETCH_H
#define DRYAD_NET_PREFETCH_H

#include <stddef.h>

enum { DRYAD_CACHE_LINE = 64 };

/* Have `size` bytes from `start` on brought to the cache, to be written to. */
static inline void dryad_prefetch(const void *start, size_t size)
{
    size_t i;
    for (i = 0; i < size; i += DRYAD_CACHE_LINE)
        __builtin_prefetch((const char *)start + i, 1);
}

#endif
