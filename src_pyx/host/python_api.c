#include "python_api.h"

#include <dlfcn.h>
#include <string.h>

struct python_api py;

/* ISO C has no conversion from an object pointer to a function pointer; POSIX promises that the
 * representation is the same (dlsym, 2018 edition). */
static bool look_up(void *library, const char *name, void *function)
{
    void *symbol = dlsym(library, name);
    memcpy(function, &symbol, sizeof symbol);
    return symbol != NULL;
}

const char *python_api_load(void *library)
{
#define X(type, name, parameters)                 \
    if (!look_up(library, #name, &py.name))       \
        return #name;
    PYTHON_FUNCTIONS(X)
#undef X
    if (!look_up(library, "_Py_NoneStruct", &py.none))
        return "_Py_NoneStruct";
    if (!look_up(library, "_Py_TrueStruct", &py.true_))
        return "_Py_TrueStruct";
    return NULL;
}
