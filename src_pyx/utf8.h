/* Is this UTF-8 (RFC 3629)? For text that comes in pieces: a message must be refused at the first
 * wrong byte, before the rest of it has come. */
#ifndef DRYAD_NET_UTF8_H
#define DRYAD_NET_UTF8_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

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
    for (; at < size; at++)
        if (data[at] & 0x80)
            return 0;
    return 1;
}

/* How many bytes at the front are whole characters; *wrong: what follows them can never become one. */
static inline size_t dryad_utf8_valid(const unsigned char *data, size_t size, int *wrong)
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
        }
        if (at == size)
            break;
        length = dryad_utf8_character(data + at, size - at);
        if (length <= 0) {
            *wrong = length < 0;
            break;
        }
        at += (size_t)length;
    }
    return at;
}

#endif
