/* Masking (src_pyx/mask.h) against RFC 6455, 5.3 to the letter: byte i is XORed with byte i mod 4 of the key. */
#include <stdint.h>
#include <stdio.h>
#include <mask.h>

/* More than two turns of the loop, and every step behind it. */
#define LONGEST 300
#define PLACES 16

int main(void)
{
    static char from[LONGEST + PLACES], to[LONGEST + PLACES], here[LONGEST + PLACES];
    const unsigned char key[4] = {0x01, 0x82, 0x43, 0xfc};
    const uint16_t one = 1;
    int right = 0;
    dryad_mask_choose();
    for (size_t i = 0; i < sizeof from; i++)
        from[i] = (char)(i * 37 + 11);
    for (size_t size = 0; size < LONGEST + 1; size++)
        for (size_t place = 0; place < PLACES; place++)
            for (size_t offset = 0; offset < 40; offset++) {
                memset(to, 0, sizeof to);
                memcpy(here, from, sizeof here);
                dryad_mask(to + place, from + place, size, key, offset);
                dryad_mask(here + place, here + place, size, key, offset);
                for (size_t i = 0; i < sizeof from; i++) {
                    int inside = i >= place && i < place + size;
                    char masked = (char)(from[i] ^ (char)key[(offset + i - place) & 3]);
                    if (to[i] != (inside ? masked : 0) || here[i] != (inside ? masked : from[i])) {
                        fprintf(stderr, "size %u, place %u, offset %u: byte %u\n", (unsigned)size, (unsigned)place,
                                (unsigned)offset, (unsigned)i);
                        return 1;
                    }
                }
                right++;
            }
    printf("%s: %d right\n", *(const char *)&one ? "little" : "big", right);
    return 0;
}
