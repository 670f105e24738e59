/* What the library keeps for a thread that calls it, from its first call until it ends. */
#ifndef DRYAD_NET_CALLER_H
#define DRYAD_NET_CALLER_H

#include "python_api.h"

struct caller {
    /* What the last call returned; NUL-terminated. */
    char *buffer;
    size_t capacity;
    size_t length;
    /* Of the last typed call. */
    int status;
    char *error;
    /* The thread's state in Python, if it has one only because of us. */
    PyThreadState *state;
    /* While the thread is inside a call. */
    PyGILState_STATE lock;
};

/* This thread's; NULL if there is no memory. */
struct caller *caller_find(void);

/* Take Python's lock, and let go of it. Python must have been started. */
void caller_enter(struct caller *caller);
void caller_leave(struct caller *caller);

/* Copy what is to be returned; false if there is no memory. The lock need not be held. */
bool caller_keep(struct caller *caller, const char *bytes, size_t length);

/* Keep the message of an error; no memory for it leaves a shorter one. */
void caller_fail(struct caller *caller, const char *message);
void caller_forget_error(struct caller *caller);
const char *caller_error(const struct caller *caller);

#endif
