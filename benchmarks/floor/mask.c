/* mask memcpy|chosen|here SIZE: copies SIZE bytes, or masks them on the way, or masks them in place. */
#pragma GCC optimize("O3")

#include "../../src_pyx/mask.h"
#include "worker.h"

static char *from, *to;
static size_t size;
static const unsigned char key[4] = {0x12, 0x34, 0x56, 0x78};

/* The empty asm makes the compiler believe that somebody looks at the bytes every time. */
static void run_memcpy(struct stopwatch *watch, int64_t count)
{
    start(watch);
    for (int64_t i = 0; i < count; i++) {
        memcpy(to, from, size);
        __asm__ volatile("" : : "r"(to) : "memory");
    }
    stop(watch, count);
}

static void run_copy(struct stopwatch *watch, int64_t count)
{
    start(watch);
    for (int64_t i = 0; i < count; i++) {
        dryad_mask(to, from, size, key, 0);
        __asm__ volatile("" : : "r"(to) : "memory");
    }
    stop(watch, count);
}

static void run_here(struct stopwatch *watch, int64_t count)
{
    start(watch);
    for (int64_t i = 0; i < count; i++) {
        dryad_mask(to, to, size, key, 0);
        __asm__ volatile("" : : "r"(to) : "memory");
    }
    stop(watch, count);
}

int main(int argc, char **argv)
{
    check(argc == 3, "mask memcpy|chosen|here SIZE");
    size = (size_t)atoll(argv[2]);
    /* Half a page apart: where both lie alike in their pages, copying forwards is many times slower on some CPUs. */
    from = aligned_alloc(4096, (size / 4096 + 1) * 4096);
    to = aligned_alloc(4096, (size / 4096 + 2) * 4096);
    check(from != NULL && to != NULL, "aligned_alloc");
    to += 2048;
    memset(from, 'x', size);
    memset(to, 'x', size);
    if (strcmp(argv[1], "memcpy") == 0)
        return serve(run_memcpy);
    dryad_mask_choose();
    return serve(strcmp(argv[1], "here") == 0 ? run_here : run_copy);
}
