/* From valid UTF-8 to the storage of a string: one, two or four bytes a character (PEP 393).
 *
 * The plain loop takes a branch a character, which mixed scripts make it guess wrong. With AVX2 there
 * is none: of eight bytes, all characters that begin there are moved to a lane of 32 bits each, and
 * their bits are put together in all lanes at once, whatever their lengths.
 */
#ifndef DRYAD_NET_TRANSCODE_H
#define DRYAD_NET_TRANSCODE_H

#include "utf8.h"

#define DRYAD_ALWAYS static inline __attribute__((always_inline))

DRYAD_ALWAYS void dryad_put(void *to, size_t at, uint32_t character, int width)
{
    if (width == 1)
        ((uint8_t *)to)[at] = (uint8_t)character;
    else if (width == 2)
        ((uint16_t *)to)[at] = (uint16_t)character;
    else
        ((uint32_t *)to)[at] = character;
}

/* The plain loop; `at`: where in `to` the first character goes. */
DRYAD_ALWAYS void dryad_transcode_from(const unsigned char *data, size_t size, void *to, size_t at, int width)
{
    const unsigned char *end = data + size;
    while (data < end) {
        unsigned char first = data[0];
        if (first < 0x80) {
            dryad_put(to, at++, first, width);
            data += 1;
        } else if (first < 0xE0) {
            dryad_put(to, at++, (uint32_t)(first & 0x1F) << 6 | (data[1] & 0x3F), width);
            data += 2;
        } else if (first < 0xF0) {
            dryad_put(to, at++, (uint32_t)(first & 0x0F) << 12 | (uint32_t)(data[1] & 0x3F) << 6
                                    | (data[2] & 0x3F), width);
            data += 3;
        } else {
            dryad_put(to, at++, (uint32_t)(first & 0x07) << 18 | (uint32_t)(data[1] & 0x3F) << 12
                                    | (uint32_t)(data[2] & 0x3F) << 6 | (data[3] & 0x3F), width);
            data += 4;
        }
    }
}

static void dryad_transcode_plain(const unsigned char *data, size_t size, void *to, size_t characters, int width)
{
    (void)characters;
    if (width == 1)
        dryad_transcode_from(data, size, to, 0, 1);
    else if (width == 2)
        dryad_transcode_from(data, size, to, 0, 2);
    else
        dryad_transcode_from(data, size, to, 0, 4);
}

#ifdef DRYAD_UTF8_HAS_AVX2

/* The places of the bits that are set in a byte, the lowest first. */
static uint8_t dryad_bit_places[256][8];

static inline void dryad_transcode_prepare(void)
{
    int mask, bit, found;
    for (mask = 0; mask < 256; mask++)
        for (bit = found = 0; bit < 8; bit++)
            if (mask >> bit & 1)
                dryad_bit_places[mask][found++] = (uint8_t)bit;
}

/* The characters that begin in the eight bytes at `data`, where `leads` has their bits. Reads 16 bytes. */
DRYAD_AVX2_INLINE __m256i dryad_eight(const unsigned char *data, unsigned leads)
{
    /* By a byte's high half: the bits of it that are the character's, and by how much a character that
     * begins with it is shorter than four bytes, in bits. */
    const __m256i own_bits = DRYAD_TWICE(0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F, 0x7F,
                                         0x3F, 0x3F, 0x3F, 0x3F, 0x1F, 0x1F, 0x0F, 0x07);
    const __m256i missing = DRYAD_TWICE(18, 18, 18, 18, 18, 18, 18, 18, 0, 0, 0, 0, 12, 12, 6, 0);
    const __m256i first_of_lane = DRYAD_TWICE(0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12);
    __m256i places = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)dryad_bit_places[leads]));
    __m256i bytes = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)data));
    __m256i halves;
    /* Each lane: the four bytes from a character's first on, that one highest. */
    places = _mm256_add_epi8(_mm256_shuffle_epi8(places, first_of_lane), _mm256_set1_epi32(0x00010203));
    bytes = _mm256_shuffle_epi8(bytes, places);
    halves = dryad_high_halves(bytes);
    bytes = _mm256_and_si256(bytes, _mm256_shuffle_epi8(own_bits, halves));
    /* Behind a short character another begins: with seven bits it would carry into the first. */
    bytes = _mm256_and_si256(bytes, _mm256_set1_epi32(0x7F3F3F3F));
    halves = _mm256_srli_epi32(_mm256_shuffle_epi8(missing, halves), 24);
    /* 6 bits and 6 bits, twice; then 12 and 12. */
    bytes = _mm256_maddubs_epi16(bytes, _mm256_set1_epi16(64 << 8 | 1));
    bytes = _mm256_madd_epi16(bytes, _mm256_set1_epi32(4096 << 16 | 1));
    return _mm256_srlv_epi32(bytes, halves);
}

/* Eight characters of three bytes each: their places are known. Reads 28 bytes. */
DRYAD_AVX2_INLINE __m256i dryad_eight_of_three(const unsigned char *data)
{
    const __m256i places = DRYAD_TWICE(2, 1, 0, -1, 5, 4, 3, -1, 8, 7, 6, -1, 11, 10, 9, -1);
    __m128i first = _mm_loadu_si128((const __m128i *)data), second = _mm_loadu_si128((const __m128i *)(data + 12));
    __m256i bytes = _mm256_inserti128_si256(_mm256_castsi128_si256(first), second, 1);
    bytes = _mm256_and_si256(_mm256_shuffle_epi8(bytes, places), _mm256_set1_epi32(0x000F3F3F));
    bytes = _mm256_maddubs_epi16(bytes, _mm256_set1_epi16(64 << 8 | 1));
    return _mm256_madd_epi16(bytes, _mm256_set1_epi32(4096 << 16 | 1));
}

/* Eight characters into their storage. */
DRYAD_AVX2_INLINE void dryad_put_eight(void *to, size_t at, __m256i characters, int width)
{
    __m128i narrow;
    if (width == 4) {
        _mm256_storeu_si256((__m256i *)((uint32_t *)to + at), characters);
        return;
    }
    narrow = _mm_packus_epi32(_mm256_castsi256_si128(characters), _mm256_extracti128_si256(characters, 1));
    if (width == 2)
        _mm_storeu_si128((__m128i *)((uint16_t *)to + at), narrow);
    else
        _mm_storel_epi64((__m128i *)((uint8_t *)to + at), _mm_packus_epi16(narrow, narrow));
}

/* Sixteen bytes that are ASCII. */
DRYAD_AVX2_INLINE void dryad_put_ascii(void *to, size_t at, __m128i bytes, int width)
{
    if (width == 1) {
        _mm_storeu_si128((__m128i *)((uint8_t *)to + at), bytes);
    } else if (width == 2) {
        _mm256_storeu_si256((__m256i *)((uint16_t *)to + at), _mm256_cvtepu8_epi16(bytes));
    } else {
        _mm256_storeu_si256((__m256i *)((uint32_t *)to + at), _mm256_cvtepu8_epi32(bytes));
        _mm256_storeu_si256((__m256i *)((uint32_t *)to + at + 8), _mm256_cvtepu8_epi32(_mm_srli_si128(bytes, 8)));
    }
}

/* Of 32 bytes, the 25 that tell whether eight characters of three bytes come next, and the first bytes they have. */
enum { DRYAD_THREES = 0x1FFFFFF, DRYAD_THREES_LEADS = 0x1249249 };

DRYAD_AVX2_INLINE void dryad_transcode_wide(const unsigned char *data, size_t size, void *to, size_t characters,
                                            int width)
{
    size_t at = 0, done = 0;
    /* Sixteen bytes have at most sixteen characters, and so many are written however few they are; the
     * masks, and the second eight, are read with the bytes behind them. */
    while (size - at >= 32 && characters - done >= 16) {
        __m256i bytes = _mm256_loadu_si256((const __m256i *)(data + at));
        unsigned leads = (unsigned)_mm256_movemask_epi8(_mm256_cmpgt_epi8(bytes, _mm256_set1_epi8(-65)));
        if ((_mm256_movemask_epi8(bytes) & 0xFFFF) == 0) {
            dryad_put_ascii(to, done, _mm256_castsi256_si128(bytes), width);
            done += 16;
        } else if (width > 1 && (leads & DRYAD_THREES) == DRYAD_THREES_LEADS) {
            dryad_put_eight(to, done, dryad_eight_of_three(data + at), width);
            done += 8;
            at += 24;
            continue;
        } else if (width > 1 && (leads >> __builtin_ctz(leads) & DRYAD_THREES) == DRYAD_THREES_LEADS) {
            /* The same behind the rest of a character; apart, since the next step has to wait for this count. */
            at += (size_t)__builtin_ctz(leads);
            continue;
        } else {
            dryad_put_eight(to, done, dryad_eight(data + at, leads & 0xFF), width);
            done += (size_t)__builtin_popcount(leads & 0xFF);
            dryad_put_eight(to, done, dryad_eight(data + at + 8, leads >> 8 & 0xFF), width);
            done += (size_t)__builtin_popcount(leads >> 8 & 0xFF);
        }
        at += 16;
    }
    /* The rest of a character that began before. */
    while (at < size && (data[at] & 0xC0) == 0x80)
        at++;
    dryad_transcode_from(data + at, size - at, to, done, width);
}

DRYAD_AVX2 static void dryad_transcode_avx2(const unsigned char *data, size_t size, void *to, size_t characters,
                                            int width)
{
    if (width == 1)
        dryad_transcode_wide(data, size, to, characters, 1);
    else if (width == 2)
        dryad_transcode_wide(data, size, to, characters, 2);
    else
        dryad_transcode_wide(data, size, to, characters, 4);
}

#endif

static void (*dryad_transcode_chosen)(const unsigned char *, size_t, void *, size_t, int) = dryad_transcode_plain;

/* Choose both halves of decoding for this processor. Returns the name of what was chosen. */
static inline const char *dryad_transcode_choose(void)
{
#ifdef DRYAD_UTF8_HAS_AVX2
    if (dryad_utf8_choose()) {
        dryad_transcode_prepare();
        dryad_transcode_chosen = dryad_transcode_avx2;
        return "avx2";
    }
#endif
    return "plain";
}

/* Fill the storage of a string of so many characters, so many bytes wide each, from valid UTF-8. */
static inline void dryad_transcode(const unsigned char *data, size_t size, void *to, size_t characters, int width)
{
    dryad_transcode_chosen(data, size, to, characters, width);
}

#endif
