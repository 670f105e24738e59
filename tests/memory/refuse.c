/* A malloc that can be told to refuse, to be preloaded (LD_PRELOAD, ld.so(8)) beside glibc.
 *
 * refuse(nth, count, least, who) arms it: of the allocations of at least so many bytes from then on,
 * the nth and the count - 1 after it are refused. Who is counted is said by the bits of `who`:
 * MINE the calling thread only, OURS only what the compiled half of dryad_net asks for itself.
 * refused() disarms it and says how many were refused. Run Python with PYTHONMALLOC=malloc, so that
 * its objects come from here too.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

enum { MINE = 1, OURS = 2, DEPTH = 40 };

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);

static atomic_long next_refused, still_to_refuse, refusals;
static atomic_size_t least_size;
static atomic_int counted;
static pthread_t mine_is;
static __thread int inside;

/* Is this allocation for a function of the compiled half, rather than for Python code? And never one
 * of those at whose refusal CPython itself crashes: an iterator over a dict's items (dictiter_new()
 * lets go of an object that it has not tracked yet; seen in 3.11.7). */
static int counts(int who)
{
    void *frames[DEPTH];
    Dl_info info;
    int ours = 0;
    int depth = backtrace(frames, DEPTH);
    for (int i = 2; i < depth; i++) {
        if (!dladdr(frames[i], &info))
            continue;
        if (info.dli_sname && strcmp(info.dli_sname, "PyObject_GetIter") == 0)
            return 0;
        if (info.dli_sname && strcmp(info.dli_sname, "_PyEval_EvalFrameDefault") == 0)
            break;
        if (info.dli_fname && strstr(info.dli_fname, "dryad_net/_compiled")) {
            ours = 1;
            break;
        }
    }
    return ours || !(who & OURS);
}

static int is_refused(size_t size)
{
    if (atomic_load(&still_to_refuse) <= 0 || size < atomic_load(&least_size) || inside)
        return 0;
    int who = atomic_load(&counted);
    if ((who & MINE) && !pthread_equal(mine_is, pthread_self()))
        return 0;
    inside = 1;
    int one_of_them = counts(who);
    inside = 0;
    if (!one_of_them || atomic_fetch_sub(&next_refused, 1) > 1 || atomic_fetch_sub(&still_to_refuse, 1) <= 0)
        return 0;
    atomic_fetch_add(&refusals, 1);
    errno = ENOMEM;
    return 1;
}

void refuse(long nth, long count, long least, int who)
{
    void *frame;
    backtrace(&frame, 1); /* loads what it needs the first time */
    mine_is = pthread_self();
    atomic_store(&counted, who);
    atomic_store(&least_size, (size_t)least);
    atomic_store(&refusals, 0);
    atomic_store(&next_refused, nth);
    atomic_store(&still_to_refuse, count);
}

long refused(void)
{
    atomic_store(&still_to_refuse, 0);
    return atomic_load(&refusals);
}

void *malloc(size_t size)
{
    return is_refused(size) ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return is_refused(count * size) ? NULL : __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size)
{
    return is_refused(size) ? NULL : __libc_realloc(memory, size);
}
