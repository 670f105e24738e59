/* Masking (RFC 6455, 5.3): every byte XOR one of the four bytes of a key, in turn.
 *
 * One plain loop over vectors, which compilers make of whatever the processor has, is compiled for
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
    unsigned char twice[8];
    uint32_t turned;
    memcpy(twice, key, 4);
    memcpy(twice + 4, key, 4);
    memcpy(&turned, twice + (offset & 3), sizeof turned);
    return (uint64_t)turned << 32 | turned;
}

/* Anywhere in memory, over bytes of any type. */
typedef uint64_t dryad_mask_32 __attribute__((vector_size(32), aligned(1), may_alias));
typedef uint64_t dryad_mask_16 __attribute__((vector_size(16), aligned(1), may_alias));
typedef uint64_t dryad_mask_8 __attribute__((aligned(1), may_alias));
typedef uint32_t dryad_mask_4 __attribute__((aligned(1), may_alias));

/* What is masked together is loaded before any of it is stored, so `to` may be `from`. Four vectors a turn are as fast
 * as memcpy(). What is left is done in steps without a loop: most payloads are short. A macro, since compilers take
 * vectors apart for the function in which they stand, before they see into which other it is inlined. */
#define DRYAD_MASK_LOOP(suffix, attributes)                                                              \
    attributes static void dryad_mask_##suffix(char *to, const char *from, size_t size, uint64_t pattern)\
    {                                                                                                    \
        const dryad_mask_32 key_32 = {pattern, pattern, pattern, pattern};                               \
        const dryad_mask_16 key_16 = {pattern, pattern};                                                 \
        dryad_mask_32 first, second, third, fourth;                                                      \
        size_t i;                                                                                        \
        for (; size >= 128; size -= 128, from += 128, to += 128) {                                       \
            first = ((const dryad_mask_32 *)from)[0] ^ key_32;                                           \
            second = ((const dryad_mask_32 *)from)[1] ^ key_32;                                          \
            third = ((const dryad_mask_32 *)from)[2] ^ key_32;                                           \
            fourth = ((const dryad_mask_32 *)from)[3] ^ key_32;                                          \
            ((dryad_mask_32 *)to)[0] = first;                                                            \
            ((dryad_mask_32 *)to)[1] = second;                                                           \
            ((dryad_mask_32 *)to)[2] = third;                                                            \
            ((dryad_mask_32 *)to)[3] = fourth;                                                           \
        }                                                                                                \
        for (; size >= 32; size -= 32, from += 32, to += 32)                                             \
            *(dryad_mask_32 *)to = *(const dryad_mask_32 *)from ^ key_32;                                \
        if (size & 16) {                                                                                 \
            *(dryad_mask_16 *)to = *(const dryad_mask_16 *)from ^ key_16;                                \
            from += 16, to += 16;                                                                        \
        }                                                                                                \
        if (size & 8) {                                                                                  \
            *(dryad_mask_8 *)to = *(const dryad_mask_8 *)from ^ pattern;                                 \
            from += 8, to += 8;                                                                          \
        }                                                                                                \
        if (size & 4) {                                                                                  \
            *(dryad_mask_4 *)to = *(const dryad_mask_4 *)from ^ (uint32_t)pattern;                       \
            from += 4, to += 4;                                                                          \
        }                                                                                                \
        for (i = 0; i < (size & 3); i++)                                                                 \
            to[i] = (char)(from[i] ^ ((const char *)&pattern)[i]);                                       \
    }

DRYAD_MASK_LOOP(plain, )

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define DRYAD_MASK_HAS_AVX2 1
DRYAD_MASK_LOOP(avx2, __attribute__((target("avx2"))))
#endif

static void (*dryad_mask_chosen)(char *, const char *, size_t, uint64_t) = dryad_mask_plain;

static inline const char *dryad_mask_choose(void)
{
#ifdef DRYAD_MASK_HAS_AVX2
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2")) {
        dryad_mask_chosen = dryad_mask_avx2;
        return "avx2";
    }
#endif
    return "plain";
}

/* Mask `size` bytes, the first of which is the payload's byte `offset`, on their way to `to`: the same place, or one
 * apart from it. */
static inline void dryad_mask(char *to, const char *from, size_t size, const unsigned char key[4], size_t offset)
{
    dryad_mask_chosen(to, from, size, dryad_mask_pattern(key, offset));
}

#endif
