#include "caller.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "runtime.h"

/* A buffer that held something large once is not kept at that size. */
enum { KEPT_CAPACITY = 1 << 20 };

static const char OUT_OF_MEMORY[] = "E5006 dryad_net: out of memory";

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static bool key_is_there;

/* PyGILState_Ensure would not find the thread's state any more: its own thread-specific value may be
 * gone before ours (POSIX leaves the order open). So the state is taken up by its address. */
static void forget_thread(PyThreadState *state)
{
    if (state == NULL || !runtime_is_up())
        return;
    py.PyEval_AcquireThread(state);
    py.PyThreadState_Clear(state);
    py.PyThreadState_DeleteCurrent();
}

static void at_thread_end(void *value)
{
    struct caller *caller = value;
    forget_thread(caller->state);
    free(caller->buffer);
    caller_forget_error(caller);
    free(caller);
}

static void make_key(void)
{
    key_is_there = pthread_key_create(&key, at_thread_end) == 0;
}

struct caller *caller_find(void)
{
    pthread_once(&once, make_key);
    if (!key_is_there)
        return NULL;
    struct caller *caller = pthread_getspecific(key);
    if (caller == NULL) {
        caller = calloc(1, sizeof *caller);
        if (caller != NULL && pthread_setspecific(key, caller) != 0) {
            free(caller);
            caller = NULL;
        }
    }
    return caller;
}

void caller_enter(struct caller *caller)
{
    bool known = py.PyGILState_GetThisThreadState() != NULL;
    caller->lock = py.PyGILState_Ensure();
    if (!known) {
        /* Never given back: making a thread state for every call would cost more than the call. */
        caller->state = py.PyEval_SaveThread();
        caller->lock = py.PyGILState_Ensure();
    }
}

void caller_leave(struct caller *caller)
{
    py.PyGILState_Release(caller->lock);
}

bool caller_keep(struct caller *caller, const char *bytes, size_t length)
{
    bool too_large = caller->capacity > KEPT_CAPACITY && length < KEPT_CAPACITY;
    if (length >= caller->capacity || too_large) {
        size_t capacity = length < 512 ? 512 : length + 1;
        char *grown = malloc(capacity);
        if (grown == NULL)
            return false;
        free(caller->buffer);
        caller->buffer = grown;
        caller->capacity = capacity;
    }
    memcpy(caller->buffer, bytes, length);
    caller->buffer[length] = '\0';
    caller->length = length;
    return true;
}

void caller_forget_error(struct caller *caller)
{
    if (caller->error != OUT_OF_MEMORY)
        free(caller->error);
    caller->error = NULL;
}

void caller_fail(struct caller *caller, const char *message)
{
    caller_forget_error(caller);
    size_t size = strlen(message) + 1;
    caller->error = malloc(size);
    if (caller->error != NULL)
        memcpy(caller->error, message, size);
    else
        caller->error = (char *)OUT_OF_MEMORY;
}

const char *caller_error(const struct caller *caller)
{
    return caller->error == NULL ? "" : caller->error;
}
