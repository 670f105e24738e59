/* The one Python of the process: starting it, the lock that guards it, fork and exit. */
#ifndef DRYAD_NET_RUNTIME_H
#define DRYAD_NET_RUNTIME_H

#include "finding.h"
#include "python_api.h"

/* Start Python if nobody has, and have dryad_net in it. Returns false if that cannot be done; reason
 * then says why. Any thread may call, at any time; what failed is tried again by the next call. */
bool runtime_start(char reason[REASON_SIZE]);

/* May the lock be taken? False before the start, and once somebody else has ended Python. */
bool runtime_is_up(void);

/* What the module dryad_net.host.door, or dryad_net itself, has under a name: a new reference, or NULL
 * with Python's error set. The lock must be held. */
PyObject *runtime_door(const char *name);
PyObject *runtime_native(const char *name);

/* Text from outside (a path, a name) that is to be part of a message: what is not printable ASCII
 * becomes a question mark, so that every message is valid UTF-8. */
void make_plain(char *text);

/* Python's error indicator as text, cleared; the lock must be held. */
void runtime_take_error(char *text, size_t size);

#endif
