/* Masking (RFC 6455, 5.3): every byte XOR one of the four bytes of a key, in turn.
 *
 * One plain loop over 64-bit words, which compilers turn into vector instructions, is compiled for
 * several instruction sets; dryad_mask_choose() picks the best this processor has, once. The key's
 * pattern is laid out as bytes and only then read as a word, so byte order does not matter.
 */
#ifndef DRYAD_NET_MASK_H
#define DRYAD_NET_MASK_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The key as it falls on the bytes from `offset` of the payload on, twice. */
static inline uint64_t dryad_mask_pattern(const unsigned char key[4], size_t offset)
{
    unsigned char bytes[8];
    uint64_t pattern;
    int i;
    for (i = 0; i < 8; i++)
        bytes[i] = key[(offset + (size_t)i) & 3];
    memcpy(&pattern, bytes, sizeof pattern);
    return pattern;
}

/* GCC makes one vector of a turn of the loop, and then copies a kilobyte at half the speed of memcpy();
 * Clang makes several without being told. */
#if defined(__GNUC__) && !defined(__clang__)
#define DRYAD_MASK_UNROLL _Pragma("GCC unroll 16")
#else
#define DRYAD_MASK_UNROLL
#endif

/* Copying and in place are two functions: where the compiler does not know that source and target
 * are apart, or the same, it tests for overlap and then goes byte by byte. */
#define DRYAD_MASK_LOOPS(suffix, attributes)                                                           \
    attributes static void dryad_mask_copy_##suffix(char *restrict to, const char *restrict from,      \
                                                    size_t size, uint64_t pattern)                     \
    {                                                                                                  \
        size_t i;                                                                                      \
        uint64_t word;                                                                                 \
        DRYAD_MASK_UNROLL                                                                              \
        for (i = 0; i + 8 <= size; i += 8) {                                                           \
            memcpy(&word, from + i, 8);                                                                \
            word ^= pattern;                                                                           \
            memcpy(to + i, &word, 8);                                                                  \
        }                                                                                              \
        if (i < size) {                                                                                \
            word = 0;                                                                                  \
            memcpy(&word, from + i, size - i);                                                         \
            word ^= pattern;                                                                           \
            memcpy(to + i, &word, size - i);                                                           \
        }                                                                                              \
    }                                                                                                  \
    attributes static void dryad_mask_here_##suffix(char *data, size_t size, uint64_t pattern)         \
    {                                                                                                  \
        size_t i;                                                                                      \
        uint64_t word;                                                                                 \
        for (i = 0; i + 8 <= size; i += 8) {                                                           \
            memcpy(&word, data + i, 8);                                                                \
            word ^= pattern;                                                                           \
            memcpy(data + i, &word, 8);                                                                \
        }                                                                                              \
        if (i < size) {                                                                                \
            word = 0;                                                                                  \
            memcpy(&word, data + i, size - i);                                                         \
            word ^= pattern;                                                                           \
            memcpy(data + i, &word, size - i);                                                         \
        }                                                                                              \
    }

DRYAD_MASK_LOOPS(plain, )

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define DRYAD_MASK_HAS_AVX2 1
DRYAD_MASK_LOOPS(avx2, __attribute__((target("avx2"))))
#endif

static void (*dryad_mask_copy_chosen)(char *restrict, const char *restrict, size_t, uint64_t) = dryad_mask_copy_plain;
static void (*dryad_mask_here_chosen)(char *, size_t, uint64_t) = dryad_mask_here_plain;

static inline const char *dryad_mask_choose(void)
{
#ifdef DRYAD_MASK_HAS_AVX2
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2")) {
        dryad_mask_copy_chosen = dryad_mask_copy_avx2;
        dryad_mask_here_chosen = dryad_mask_here_avx2;
        return "avx2";
    }
#endif
    return "plain";
}

/* Mask `size` bytes, the first of which is the payload's byte `offset`, on their way to `to`. */
static inline void dryad_mask_copy(char *to, const char *from, size_t size, const unsigned char key[4], size_t offset)
{
    dryad_mask_copy_chosen(to, from, size, dryad_mask_pattern(key, offset));
}

static inline void dryad_mask_here(char *data, size_t size, const unsigned char key[4], size_t offset)
{
    dryad_mask_here_chosen(data, size, dryad_mask_pattern(key, offset));
}

#endif
