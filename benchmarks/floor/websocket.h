/* WebSocket (RFC 6455) as far as the floor needs it: the opening handshake of both sides, and frame headers.
 *
 * Nothing else is here: no fragments, no check of UTF-8, no limits. Masking is the library's own loop,
 * so that what differs between the floor and the library is everything else.
 */
#ifndef DRYAD_NET_FLOOR_WEBSOCKET_H
#define DRYAD_NET_FLOOR_WEBSOCKET_H

#define _GNU_SOURCE
/* Loops become vector instructions from -O3 on, which is what extension modules are compiled with. */
#pragma GCC optimize("O3")

#include <sys/random.h>

#include "../../src_pyx/mask.h"
#include "worker.h"

enum { TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10 };

/* The longest header: two bytes, a length of eight, a key of four (RFC 6455, 5.2). */
enum { LONGEST_HEADER = 14, HEAD_ROOM = 4096 };

struct frame {
    int opcode, masked;
    size_t header, size;
    unsigned char key[4];
};

/* 1 if `held` bytes hold the whole header. */
static inline int parse_header(const char *data, size_t held, struct frame *frame)
{
    const unsigned char *at = (const unsigned char *)data;
    size_t length_bytes;
    if (held < 2)
        return 0;
    frame->opcode = at[0] & 15;
    frame->masked = at[1] >> 7;
    frame->size = at[1] & 127;
    length_bytes = frame->size == 126 ? 2 : frame->size == 127 ? 8 : 0;
    frame->header = 2 + length_bytes + (frame->masked ? 4 : 0);
    if (held < frame->header)
        return 0;
    if (length_bytes > 0)
        frame->size = 0;
    for (size_t i = 0; i < length_bytes; i++)
        frame->size = frame->size << 8 | at[2 + i];
    if (frame->masked)
        memcpy(frame->key, at + frame->header - 4, 4);
    return 1;
}

static inline size_t header_size(size_t size, int masked)
{
    return (size < 126 ? 2 : size < 65536 ? 4 : 10) + (masked ? 4 : 0);
}

/* Write the header of a final frame, without the key; returns how long it is. */
static inline size_t build_header(char *to, int opcode, size_t size, int masked)
{
    size_t length_bytes = size < 126 ? 0 : size < 65536 ? 2 : 8;
    to[0] = (char)(0x80 | opcode);
    to[1] = (char)((masked ? 0x80 : 0) | (length_bytes == 0 ? size : length_bytes == 2 ? 126 : 127));
    for (size_t i = 0; i < length_bytes; i++)
        to[2 + i] = (char)(size >> 8 * (length_bytes - 1 - i));
    return 2 + length_bytes;
}

/* Write a whole masked frame; returns how long it is. The keys come from a pool, as the library's do. */
static inline size_t build_masked(char *to, int opcode, const char *payload, size_t size)
{
    static unsigned char pool[4096];
    static size_t used = sizeof pool;
    size_t header = build_header(to, opcode, size, 1);
    if (used == sizeof pool) {
        check(getrandom(pool, sizeof pool, 0) == sizeof pool, "getrandom");
        used = 0;
    }
    memcpy(to + header, pool + used, 4);
    dryad_mask(to + header + 4, payload, size, pool + used, 0);
    used += 4;
    return header + 4 + size;
}

/* Memory for messages. It does not begin with a page: the kernel's data often does, and copying between
 * places that lie nearly alike in their pages is several times slower on some CPUs (`rep movsb`). */
static inline char *message_room(size_t size)
{
    char *pages = aligned_alloc(4096, (size / 4096 + 2) * 4096);
    check(pages != NULL, "aligned_alloc");
    return pages + 64;
}

static inline void send_exactly(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t n = send(fd, data, size, MSG_NOSIGNAL);
        check(n > 0, "send");
        data += n;
        size -= (size_t)n;
    }
}

/* ---- the opening handshake */

static inline uint32_t rotated(uint32_t word, int bits)
{
    return word << bits | word >> (32 - bits);
}

/* SHA-1 (RFC 3174) of what fits into two blocks; that is a key and the GUID. */
static inline void sha1(const char *data, size_t size, unsigned char digest[20])
{
    uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    unsigned char blocks[128] = {0};
    check(size <= 119, "sha1");
    memcpy(blocks, data, size);
    blocks[size] = 0x80;
    size_t total = size < 56 ? 64 : 128;
    blocks[total - 2] = (unsigned char)(size * 8 >> 8);
    blocks[total - 1] = (unsigned char)(size * 8);
    for (unsigned char *block = blocks; block < blocks + total; block += 64) {
        uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
        for (int i = 0; i < 80; i++)
            w[i] = i >= 16 ? rotated(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1)
                           : (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
                                 (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
        for (int i = 0; i < 80; i++) {
            uint32_t f = i < 20   ? ((b & c) | (~b & d)) + 0x5a827999
                         : i < 40 ? (b ^ c ^ d) + 0x6ed9eba1
                         : i < 60 ? ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc
                                  : (b ^ c ^ d) + 0xca62c1d6;
            uint32_t next = rotated(a, 5) + f + e + w[i];
            e = d;
            d = c;
            c = rotated(b, 30);
            b = a;
            a = next;
        }
        h[0] += a;
        h[1] += b;
        h[2] += c;
        h[3] += d;
        h[4] += e;
    }
    for (int i = 0; i < 20; i++)
        digest[i] = (unsigned char)(h[i / 4] >> 8 * (3 - i % 4));
}

/* Base64 of 20 bytes: 28 characters, the last of which is padding. */
static inline void base64(const unsigned char digest[20], char text[29])
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (int i = 0; i < 7; i++) {
        uint32_t word = (uint32_t)digest[3 * i] << 16 | (uint32_t)digest[3 * i + 1] << 8 | (i < 6 ? digest[3 * i + 2] : 0);
        for (int j = 0; j < 4; j++)
            text[4 * i + j] = letters[word >> 6 * (3 - j) & 63];
    }
    text[27] = '=';
    text[28] = 0;
}

/* Answer a request (RFC 6455, 4.2.2), all of which is there at the first recv. Returns 0 at the end of stream. */
static inline int answer_handshake(int fd)
{
    char head[HEAD_ROOM + 1], key[64], accepted[29], response[256];
    unsigned char digest[20];
    ssize_t n = recv(fd, head, HEAD_ROOM, 0);
    if (n <= 0)
        return 0;
    head[n] = 0;
    const char *at = strcasestr(head, "\r\nSec-WebSocket-Key:");
    check(at != NULL && strstr(head, "\r\n\r\n") != NULL, "a request");
    check(sscanf(at + 20, " %24[^\r \t]", key) == 1, "a key");
    strcat(key, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    sha1(key, strlen(key), digest);
    base64(digest, accepted);
    int length = snprintf(response, sizeof response,
                          "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Accept: %s\r\n\r\n",
                          accepted);
    return send(fd, response, (size_t)length, MSG_NOSIGNAL) == length;
}

/* Ask for the upgrade on a connection that is open, and read the answer's head. */
static inline void ask_for_upgrade(int fd, int port)
{
    char request[256], head[HEAD_ROOM + 1];
    size_t held = 0;
    int length = snprintf(request, sizeof request,
                          "GET / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
                          port);
    send_exactly(fd, request, (size_t)length);
    do {
        ssize_t n = recv(fd, head + held, HEAD_ROOM - held, 0);
        check(n > 0, "the handshake's answer");
        held += (size_t)n;
        head[held] = 0;
    } while (strstr(head, "\r\n\r\n") == NULL);
    check(strncmp(head, "HTTP/1.1 101", 12) == 0, "status 101");
    check(strcmp(head + held - 4, "\r\n\r\n") == 0, "nothing behind the head");
}

#endif
