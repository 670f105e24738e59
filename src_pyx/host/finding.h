/* Where the Python is that the library should start. */
#ifndef DRYAD_NET_FINDING_H
#define DRYAD_NET_FINDING_H

#include <stdbool.h>
#include <stddef.h>

/* realpath(3) asks for PATH_MAX, which is 4096 on Linux and less elsewhere. A reason may be cut off. */
enum { PATH_SIZE = 4096, REASON_SIZE = 4096 };

struct python_place {
    /* The folder that holds the package dryad_net of this library; "" if it lies outside of one. */
    char packages[PATH_SIZE];
    /* What Python is told that its own executable is: from there it finds everything else. */
    char program[PATH_SIZE];
    /* Opened with RTLD_GLOBAL, since extension modules expect its symbols; NULL before. */
    void *library;
};

/* Find Python and open its library. Returns false if there is none; reason then says, in a
 * sentence, what was looked for. */
bool find_python(struct python_place *place, char reason[REASON_SIZE]);

/* The path of the file this code was loaded from; false if the system does not tell. */
bool find_own_file(char path[PATH_SIZE]);

#endif
