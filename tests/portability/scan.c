/* Passes over bytes (src_pyx/scan.h), as chosen and plain, against a loop that looks at one byte after the other. */
#include <stdio.h>
#include <scan.h>

#define LONGEST 300
#define PLACES 5
#define SOUGHT '\n'

static unsigned char data[LONGEST + PLACES];

static size_t find(const unsigned char *from, size_t size, int *other)
{
    for (size_t i = 0; i < size; i++) {
        *other |= from[i] >= 0x80;
        if (from[i] == SOUGHT)
            return i;
    }
    return size;
}

/* Both ways with these bytes; what is before and behind them must not matter. */
static int agrees(size_t place, size_t size)
{
    const unsigned char *from = data + place;
    for (int before = 0; before < 2; before++) {
        int expected = before, chosen = before, plain = before;
        size_t end = find(from, size, &expected);
        if (dryad_find(from, size, SOUGHT, &chosen) != end || chosen != expected
            || dryad_find_plain(from, size, SOUGHT, &plain) != end || plain != expected)
            return 0;
    }
    for (size_t i = 0; i < size; i++)
        if (from[i] >= 0x80)
            return !dryad_all_ascii(from, size) && !dryad_is_ascii(from, size);
    return dryad_all_ascii(from, size) && dryad_is_ascii(from, size);
}

int main(void)
{
    int right = 0;
    dryad_scan_choose();
    for (size_t size = 0; size <= LONGEST; size++)
        for (size_t place = 0; place < PLACES; place++)
            for (size_t at = 0; at <= size; at++)
                for (int what = 0; what < 3; what++) {
                    memset(data, 'x', sizeof data);
                    if (place)
                        data[place - 1] = what == 1 ? 0xE9 : SOUGHT;
                    if (place + size < sizeof data)
                        data[place + size] = what == 1 ? 0xE9 : SOUGHT;
                    if (at < size)
                        data[place + at] = what == 1 ? 0xE9 : SOUGHT;
                    /* A byte that is not ASCII right before the one sought, and right behind it. */
                    if (what == 2 && at > 0 && at < size)
                        data[place + at - 1 + 2 * (at % 2)] = 0x80;
                    if (!agrees(place, size)) {
                        fprintf(stderr, "size %u, place %u, at %u, case %d\n", (unsigned)size, (unsigned)place,
                                (unsigned)at, what);
                        return 1;
                    }
                    right++;
                }
    printf("%d right\n", right);
    return 0;
}
