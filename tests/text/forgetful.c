/* PyUnicode_DecodeUTF8Stateful as Python 3.11.2 has it, to be preloaded beside a shared libpython: of ASCII it does
 * not say how much was consumed. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>

typedef void *decoder(const char *data, ptrdiff_t size, const char *errors, ptrdiff_t *consumed);

void *PyUnicode_DecodeUTF8Stateful(const char *data, ptrdiff_t size, const char *errors, ptrdiff_t *consumed)
{
    decoder *real = (decoder *)dlsym(RTLD_NEXT, "PyUnicode_DecodeUTF8Stateful");
    ptrdiff_t ascii = 0, unsaid;
    while (ascii < size && (unsigned char)data[ascii] < 0x80)
        ascii++;
    return real(data, size, errors, consumed != NULL && size > 1 && ascii == size ? &unsaid : consumed);
}
