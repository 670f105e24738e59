/* Is this UTF-8 (RFC 3629)? For text that comes in pieces: a message must be refused at the first
 * wrong byte, before the rest of it has come. What is counted on the way is what a string needs to
 * know before it is made: how many characters it has, and how wide the widest is (transcode.h).
 *
 * With AVX2, 64 bytes at a time by the lookup algorithm of J. Keiser and D. Lemire, "Validating UTF-8
 * In Less Than One Instruction Per Byte" (2021); dryad_utf8_choose() asks the processor, once.
 */
#ifndef DRYAD_NET_UTF8_H
#define DRYAD_NET_UTF8_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define DRYAD_UTF8_HAS_AVX2 1
#include <immintrin.h>
#define DRYAD_AVX2 __attribute__((target("avx2,popcnt")))
#define DRYAD_AVX2_INLINE static inline __attribute__((always_inline, target("avx2,popcnt")))
#endif

/* What valid text is made of. `most`, its greatest byte, is the lead of its widest character. */
typedef struct {
    size_t characters;
    unsigned char most;
} dryad_utf8_seen;

/* How many bytes the character at `data` has: 0 while they are not all there, -1 if it is none.
 *
 * The table of RFC 3629, 4: the second byte's range is narrower after E0 (overlong), ED (surrogates),
 * F0 (overlong) and F4 (beyond U+10FFFF). */
static inline int dryad_utf8_character(const unsigned char *data, size_t size)
{
    unsigned char first = data[0], low = 0x80, high = 0xBF;
    int length, i;
    if (first < 0x80)
        return 1;
    if (first < 0xC2 || first > 0xF4)
        return -1;
    length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    if (first == 0xE0)
        low = 0xA0;
    else if (first == 0xED)
        high = 0x9F;
    else if (first == 0xF0)
        low = 0x90;
    else if (first == 0xF4)
        high = 0x8F;
    for (i = 1; i < length; i++) {
        if ((size_t)i == size)
            return 0;
        if (data[i] < low || data[i] > high)
            return -1;
        low = 0x80;
        high = 0xBF;
    }
    return length;
}

/* Is every byte ASCII? In blocks, which compilers turn into vector instructions. */
static inline int dryad_is_ascii(const unsigned char *data, size_t size)
{
    uint64_t words[8], high;
    size_t at = 0, i;
    for (; size - at >= sizeof words; at += sizeof words) {
        memcpy(words, data + at, sizeof words);
        high = 0;
        for (i = 0; i < 8; i++)
            high |= words[i];
        if (high & 0x8080808080808080u)
            return 0;
    }
    high = 0;
    if (size < 8) {
        for (; at < size; at++)
            high |= data[at];
        return (high & 0x80) == 0;
    }
    for (; size - at >= 8; at += 8) {
        memcpy(words, data + at, 8);
        high |= words[0];
    }
    /* Those that are left, and some that were looked at before. */
    memcpy(words, data + size - 8, 8);
    return ((high | words[0]) & 0x8080808080808080u) == 0;
}

/* How many bytes at the front are whole characters, which are added to `seen`; *wrong: what follows
 * them can never become one. */
static inline size_t dryad_utf8_valid_plain(const unsigned char *data, size_t size, int *wrong, dryad_utf8_seen *seen)
{
    size_t at = 0;
    uint64_t word;
    int length;
    *wrong = 0;
    while (at < size) {
        while (size - at >= 8) {
            memcpy(&word, data + at, 8);
            if (word & 0x8080808080808080u)
                break;
            at += 8;
            seen->characters += 8;
        }
        if (at == size)
            break;
        length = dryad_utf8_character(data + at, size - at);
        if (length <= 0) {
            *wrong = length < 0;
            break;
        }
        if (data[at] > seen->most)
            seen->most = data[at];
        seen->characters++;
        at += (size_t)length;
    }
    return at;
}

#ifdef DRYAD_UTF8_HAS_AVX2

/* What two bytes in a row can have wrong, a bit each. A bit is an error where the tables for the first
 * byte's high half, its low half and the second byte's high half all have it. */
enum {
    DRYAD_TOO_SHORT = 1,    /* a lead byte and no continuation */
    DRYAD_TOO_LONG = 2,     /* ASCII and a continuation */
    DRYAD_OVERLONG_3 = 4,   /* E0, then 80..9F */
    DRYAD_TOO_LARGE = 8,    /* F4, then 90..BF; F5.., then 90..BF */
    DRYAD_SURROGATE = 16,   /* ED, then A0..BF */
    DRYAD_OVERLONG_2 = 32,  /* C0 or C1 */
    DRYAD_FOUR_80 = 64,     /* F0, or F5.., then 80..8F */
    DRYAD_TWO_MORE = 128,   /* two continuations: right if a lead of three or four bytes is before them */
    DRYAD_ANY_LOW = DRYAD_TOO_SHORT | DRYAD_TOO_LONG | DRYAD_TWO_MORE,
    DRYAD_BEYOND = DRYAD_ANY_LOW | DRYAD_TOO_LARGE | DRYAD_FOUR_80,
    DRYAD_ANY_MORE = DRYAD_TOO_LONG | DRYAD_OVERLONG_2 | DRYAD_TWO_MORE
};

#define DRYAD_TWICE(...) _mm256_broadcastsi128_si256(_mm_setr_epi8(__VA_ARGS__))

DRYAD_AVX2_INLINE __m256i dryad_high_halves(__m256i bytes)
{
    return _mm256_and_si256(_mm256_srli_epi16(bytes, 4), _mm256_set1_epi8(0x0F));
}

/* Not zero where `bytes`, which follow those in `before`, are wrong. */
DRYAD_AVX2_INLINE __m256i dryad_utf8_wrong(__m256i bytes, __m256i before)
{
    const __m256i first_high = DRYAD_TWICE(
        DRYAD_TOO_LONG, DRYAD_TOO_LONG, DRYAD_TOO_LONG, DRYAD_TOO_LONG,
        DRYAD_TOO_LONG, DRYAD_TOO_LONG, DRYAD_TOO_LONG, DRYAD_TOO_LONG,
        (char)DRYAD_TWO_MORE, (char)DRYAD_TWO_MORE, (char)DRYAD_TWO_MORE, (char)DRYAD_TWO_MORE,
        DRYAD_TOO_SHORT | DRYAD_OVERLONG_2, DRYAD_TOO_SHORT,
        DRYAD_TOO_SHORT | DRYAD_OVERLONG_3 | DRYAD_SURROGATE, DRYAD_TOO_SHORT | DRYAD_TOO_LARGE | DRYAD_FOUR_80);
    const __m256i first_low = DRYAD_TWICE(
        (char)(DRYAD_ANY_LOW | DRYAD_OVERLONG_3 | DRYAD_OVERLONG_2 | DRYAD_FOUR_80),
        (char)(DRYAD_ANY_LOW | DRYAD_OVERLONG_2), (char)DRYAD_ANY_LOW, (char)DRYAD_ANY_LOW,
        (char)(DRYAD_ANY_LOW | DRYAD_TOO_LARGE), (char)DRYAD_BEYOND, (char)DRYAD_BEYOND, (char)DRYAD_BEYOND,
        (char)DRYAD_BEYOND, (char)DRYAD_BEYOND, (char)DRYAD_BEYOND, (char)DRYAD_BEYOND, (char)DRYAD_BEYOND,
        (char)(DRYAD_BEYOND | DRYAD_SURROGATE), (char)DRYAD_BEYOND, (char)DRYAD_BEYOND);
    const __m256i second_high = DRYAD_TWICE(
        DRYAD_TOO_SHORT, DRYAD_TOO_SHORT, DRYAD_TOO_SHORT, DRYAD_TOO_SHORT,
        DRYAD_TOO_SHORT, DRYAD_TOO_SHORT, DRYAD_TOO_SHORT, DRYAD_TOO_SHORT,
        (char)(DRYAD_ANY_MORE | DRYAD_OVERLONG_3 | DRYAD_FOUR_80),
        (char)(DRYAD_ANY_MORE | DRYAD_OVERLONG_3 | DRYAD_TOO_LARGE),
        (char)(DRYAD_ANY_MORE | DRYAD_SURROGATE | DRYAD_TOO_LARGE),
        (char)(DRYAD_ANY_MORE | DRYAD_SURROGATE | DRYAD_TOO_LARGE),
        DRYAD_TOO_SHORT, DRYAD_TOO_SHORT, DRYAD_TOO_SHORT, DRYAD_TOO_SHORT);
    __m256i joined = _mm256_permute2x128_si256(before, bytes, 0x21);
    __m256i one_back = _mm256_alignr_epi8(bytes, joined, 15);
    __m256i two_back = _mm256_alignr_epi8(bytes, joined, 14);
    __m256i three_back = _mm256_alignr_epi8(bytes, joined, 13);
    __m256i pairs = _mm256_and_si256(
        _mm256_and_si256(
            _mm256_shuffle_epi8(first_high, dryad_high_halves(one_back)),
            _mm256_shuffle_epi8(first_low, _mm256_and_si256(one_back, _mm256_set1_epi8(0x0F)))),
        _mm256_shuffle_epi8(second_high, dryad_high_halves(bytes)));
    /* The high bit stays where E0.. is two back or F0.. three: there, and only there, TWO_MORE is right. */
    __m256i lead_before = _mm256_or_si256(_mm256_subs_epu8(two_back, _mm256_set1_epi8(0xE0 - 0x80)),
                                          _mm256_subs_epu8(three_back, _mm256_set1_epi8(0xF0 - 0x80)));
    return _mm256_xor_si256(_mm256_and_si256(lead_before, _mm256_set1_epi8((char)0x80)), pairs);
}

/* Does a character go on behind these bytes? */
DRYAD_AVX2_INLINE int dryad_utf8_open(__m256i bytes)
{
    const __m256i last_alone = _mm256_setr_epi8(
        -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
        (char)(0xF0 - 1), (char)(0xE0 - 1), (char)(0xC0 - 1));
    __m256i over = _mm256_subs_epu8(bytes, last_alone);
    return !_mm256_testz_si256(over, over);
}

DRYAD_AVX2_INLINE size_t dryad_utf8_leads(__m256i bytes)
{
    return (size_t)__builtin_popcount((unsigned)_mm256_movemask_epi8(_mm256_cmpgt_epi8(bytes, _mm256_set1_epi8(-65))));
}

/* How many bytes before `at` belong to a character that goes on behind it. */
static inline size_t dryad_utf8_begun(const unsigned char *data, size_t at)
{
    size_t back;
    for (back = 1; back <= 3 && back <= at; back++) {
        unsigned char byte = data[at - back];
        if (byte >= 0xC0)
            return back < (byte >= 0xF0 ? 4u : byte >= 0xE0 ? 3u : 2u) ? back : 0;
        if (byte < 0x80)
            return 0;
    }
    return 0;
}

DRYAD_AVX2_INLINE unsigned char dryad_greatest(__m256i bytes)
{
    __m128i half = _mm_max_epu8(_mm256_castsi256_si128(bytes), _mm256_extracti128_si256(bytes, 1));
    half = _mm_max_epu8(half, _mm_srli_si128(half, 8));
    half = _mm_max_epu8(half, _mm_srli_si128(half, 4));
    half = _mm_max_epu8(half, _mm_srli_si128(half, 2));
    half = _mm_max_epu8(half, _mm_srli_si128(half, 1));
    return (unsigned char)_mm_cvtsi128_si32(half);
}

DRYAD_AVX2 static size_t dryad_utf8_valid_avx2(const unsigned char *data, size_t size, int *wrong,
                                               dryad_utf8_seen *seen)
{
    __m256i before = _mm256_setzero_si256(), most = _mm256_setzero_si256(), low, high, both;
    size_t at = 0, characters = 0, begun;
    int open = 0;
    unsigned char rest[64], greatest;
    while (at < size) {
        const unsigned char *block = data + at;
        size_t held = size - at < 64 ? size - at : 64;
        if (held < 64) {
            /* The end, filled up with zeros: what it leaves open is an error here, and looked at again below. */
            memset(rest, 0, sizeof rest);
            memcpy(rest, block, held);
            block = rest;
        }
        low = _mm256_loadu_si256((const __m256i *)block);
        high = _mm256_loadu_si256((const __m256i *)(block + 32));
        both = _mm256_or_si256(low, high);
        if (open || _mm256_movemask_epi8(both)) {
            both = _mm256_or_si256(dryad_utf8_wrong(low, before), dryad_utf8_wrong(high, low));
            if (!_mm256_testz_si256(both, both))
                break;
            most = _mm256_max_epu8(most, _mm256_max_epu8(low, high));
            open = dryad_utf8_open(high);
            before = high;
            characters += dryad_utf8_leads(low) + dryad_utf8_leads(high) - (64 - held);
        } else {
            before = _mm256_setzero_si256();
            characters += held;
        }
        at += held;
    }
    greatest = dryad_greatest(most);
    if (greatest > seen->most)
        seen->most = greatest;
    begun = dryad_utf8_begun(data, at);
    at -= begun;
    seen->characters += characters - (begun != 0);
    /* Nothing is left of whole valid text; otherwise where exactly it ends, or goes wrong, is found here. */
    return at + dryad_utf8_valid_plain(data + at, size - at, wrong, seen);
}

#endif

static size_t (*dryad_utf8_valid_chosen)(const unsigned char *, size_t, int *, dryad_utf8_seen *)
    = dryad_utf8_valid_plain;

/* Whether AVX2 is there, and used from now on. */
static inline int dryad_utf8_choose(void)
{
#ifdef DRYAD_UTF8_HAS_AVX2
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt")) {
        dryad_utf8_valid_chosen = dryad_utf8_valid_avx2;
        return 1;
    }
#endif
    return 0;
}

static inline size_t dryad_utf8_valid(const unsigned char *data, size_t size, int *wrong, dryad_utf8_seen *seen)
{
    return dryad_utf8_valid_chosen(data, size, wrong, seen);
}

#endif
