/* Passes over bytes that have just come: is all of it ASCII, and where is the next byte that a record
 * ends with. The second says the first of what it has passed: large records are looked at once.
 *
 * With AVX2, 128 bytes at a time; dryad_scan_choose() asks the processor, once.
 */
#ifndef DRYAD_NET_SCAN_H
#define DRYAD_NET_SCAN_H

#include "utf8.h"

/* How far from `data` on the first `sought` is, `size` if there is none. *other: set if a byte up to
 * there, it included, is not ASCII. */
static size_t dryad_find_plain(const unsigned char *data, size_t size, unsigned char sought, int *other)
{
    const unsigned char *at = size ? memchr(data, sought, size) : NULL;
    size_t passed = at == NULL ? size : (size_t)(at - data);
    if (!*other)
        *other = !dryad_is_ascii(data, passed) || (at != NULL && sought >= 0x80);
    return passed;
}

#ifdef DRYAD_UTF8_HAS_AVX2

#define DRYAD_LOAD(at) _mm256_loadu_si256((const __m256i *)(at))

DRYAD_AVX2 static int dryad_is_ascii_avx2(const unsigned char *data, size_t size)
{
    size_t at = 0;
    if (size < 32)
        return dryad_is_ascii(data, size);
    for (; size - at >= 128; at += 128) {
        __m256i all = _mm256_or_si256(_mm256_or_si256(DRYAD_LOAD(data + at), DRYAD_LOAD(data + at + 32)),
                                      _mm256_or_si256(DRYAD_LOAD(data + at + 64), DRYAD_LOAD(data + at + 96)));
        if (_mm256_movemask_epi8(all))
            return 0;
    }
    for (; size - at >= 32; at += 32)
        if (_mm256_movemask_epi8(DRYAD_LOAD(data + at)))
            return 0;
    return _mm256_movemask_epi8(DRYAD_LOAD(data + size - 32)) == 0;
}

DRYAD_AVX2 static size_t dryad_find_avx2(const unsigned char *data, size_t size, unsigned char sought, int *other)
{
    const __m256i wanted = _mm256_set1_epi8((char)sought);
    __m256i seen = _mm256_setzero_si256();
    size_t at = 0, passed;
    for (; size - at >= 128; at += 128) {
        __m256i first = DRYAD_LOAD(data + at), second = DRYAD_LOAD(data + at + 32);
        __m256i third = DRYAD_LOAD(data + at + 64), fourth = DRYAD_LOAD(data + at + 96);
        __m256i found = _mm256_or_si256(
            _mm256_or_si256(_mm256_cmpeq_epi8(first, wanted), _mm256_cmpeq_epi8(second, wanted)),
            _mm256_or_si256(_mm256_cmpeq_epi8(third, wanted), _mm256_cmpeq_epi8(fourth, wanted)));
        if (_mm256_movemask_epi8(found))
            break;
        seen = _mm256_or_si256(
            seen, _mm256_or_si256(_mm256_or_si256(first, second), _mm256_or_si256(third, fourth)));
    }
    *other |= _mm256_movemask_epi8(seen) != 0;
    /* At most 128 bytes to go, or less than 128 are left. */
    passed = dryad_find_plain(data + at, size - at, sought, other);
    return at + passed;
}

#endif

static int (*dryad_is_ascii_chosen)(const unsigned char *, size_t) = dryad_is_ascii;
static size_t (*dryad_find_chosen)(const unsigned char *, size_t, unsigned char, int *) = dryad_find_plain;

static inline void dryad_scan_choose(void)
{
#ifdef DRYAD_UTF8_HAS_AVX2
    if (dryad_utf8_choose()) {
        dryad_is_ascii_chosen = dryad_is_ascii_avx2;
        dryad_find_chosen = dryad_find_avx2;
    }
#endif
}

static inline int dryad_all_ascii(const unsigned char *data, size_t size)
{
    return dryad_is_ascii_chosen(data, size);
}

static inline size_t dryad_find(const unsigned char *data, size_t size, unsigned char sought, int *other)
{
    return dryad_find_chosen(data, size, sought, other);
}

#endif
