"""The way into a native function: count the arguments, check them, ID to object, name the errors.

A builtin function around a Declaration of registry.py. What checks.py marks as `fast` is decided
here, in C; everything else, and every refusal, is decided there.
"""

cimport cython
from cpython.bytes cimport PyBytes_CheckExact
from cpython.list cimport PyList_CheckExact
from cpython.long cimport PyLong_CheckExact
from cpython.object cimport PyObject
from cpython.unicode cimport PyUnicode_CheckExact

from .sock cimport Socket

from ..checks import FAST_BYTES as _FAST_BYTES
from ..checks import FAST_DATA as _FAST_DATA
from ..checks import FAST_ID as _FAST_ID
from ..checks import FAST_LIST as _FAST_LIST
from ..checks import FAST_MESSAGE as _FAST_MESSAGE
from ..checks import FAST_NUMBER as _FAST_NUMBER
from ..checks import FAST_TEXT as _FAST_TEXT
from ..errors import DryadNetError

cdef extern from "Python.h":
    ctypedef struct PyTypeObject:
        pass
    ctypedef struct PyMethodDef:
        const char *ml_name
        void *ml_meth
        int ml_flags
        const char *ml_doc
    const int METH_FASTCALL, METH_KEYWORDS, METH_NOARGS, METH_O
    ctypedef struct PyMethodDescrObject:
        PyMethodDef *d_method
    PyTypeObject PyMethodDescr_Type
    object PyCFunction_NewEx(PyMethodDef *definition, object bound, object module)
    PyObject *PyDict_GetItemWithError(object mapping, PyObject *key) except? NULL
    PyObject *PyObject_Vectorcall(object function, PyObject *const *args, size_t count, PyObject *names) except NULL
    long long PyLong_AsLongLongAndOverflow(PyObject *number, int *overflow) noexcept  # of an int it never fails
    void Py_INCREF(PyObject *value)
    void Py_DECREF(PyObject *value)
    bint PyUnicode_IS_COMPACT_ASCII(PyObject *text)
    Py_ssize_t PyUnicode_GET_LENGTH(PyObject *text)
    PyTypeObject *Py_TYPE(PyObject *value)
    bint PyType_IsSubtype(PyTypeObject *kind, PyTypeObject *base)

cdef extern from *:
    """
    /* An exception is set already; to Cython this call raises it. */
    static inline PyObject *dryad_raise_what_is_set(void) { return NULL; }
    """
    object raise_what_is_set "dryad_raise_what_is_set"()
    PyObject *PyErr_Occurred()

cdef enum:
    MOST_PARAMETERS = 8

cdef int FAST_ID = _FAST_ID
cdef int FAST_NUMBER = _FAST_NUMBER
cdef int FAST_DATA = _FAST_DATA
cdef int FAST_TEXT = _FAST_TEXT
cdef int FAST_MESSAGE = _FAST_MESSAGE
cdef int FAST_BYTES = _FAST_BYTES
cdef int FAST_LIST = _FAST_LIST


cdef object NO_ARGUMENT = object()


@cython.final
cdef class Recent:
    """The ID that was looked up last, and what is behind it."""

    cdef object identifier
    cdef object found

    def __cinit__(self):
        self.identifier = NO_ARGUMENT

    cdef PyObject *recall(self, PyObject *identifier) noexcept:
        """What is behind the ID, a borrowed reference, if it is that one and what it names is not closed; or NULL."""
        if identifier == <PyObject *> self.identifier and not (<Socket> self.found).closed:
            return <PyObject *> self.found
        return NULL

    cdef void remember(self, identifier, found) noexcept:
        cdef object _before = self.found  # let go when everything is in place: that may run anything
        self.identifier = identifier
        self.found = found


cdef Recent recent_of_all = Recent()  # whatever function has looked it up


# What a method of a C type is behind its descriptor, by how it takes its arguments (METH_...).
ctypedef PyObject *(*WithNone)(PyObject *, PyObject *) noexcept
ctypedef PyObject *(*WithMany)(PyObject *, PyObject *const *, Py_ssize_t, PyObject *) noexcept


cdef struct Fast:
    int kind
    PyTypeObject *type  # of an ID: the first of the kind's types, which most objects are of
    long long low
    long long high


cdef class Call:
    """One native function. Owns what its builtin function points to."""

    cdef PyMethodDef definition
    cdef bytes name
    cdef bytes doc
    cdef object declaration
    cdef object function
    cdef dict objects
    cdef Py_ssize_t arity
    cdef tuple kinds
    cdef tuple types
    cdef tuple parameters
    cdef Fast[MOST_PARAMETERS] fast
    cdef PyMethodDef *method  # what `function` is, if that is a method in C of whatever the ID names
    cdef Recent recent

    def __cinit__(self, declaration):
        cdef Py_ssize_t i
        self.declaration = declaration
        self.function = declaration.function
        self.objects = declaration.objects
        self.kinds = declaration.kinds
        self.parameters = declaration.parameters
        self.recent = Recent()
        self.arity = len(self.kinds)
        if self.arity > MOST_PARAMETERS:
            raise ValueError("too many parameters")
        self.types = tuple([kind.types for kind in self.kinds])
        for i in range(self.arity):
            self.fast[i].kind = self.kinds[i].fast
            self.fast[i].type = <PyTypeObject *> self.types[i][0] if self.types[i] else NULL
            self.fast[i].low = self.kinds[i].low
            self.fast[i].high = self.kinds[i].high
        self.method = self.method_of_subject()
        self.name = declaration.name.encode()
        # The first line is what inspect.signature reads (__text_signature__).
        self.doc = f"{declaration.name}({', '.join(self.parameters)})\n--\n\n{declaration.doc}".encode()
        self.definition.ml_name = self.name
        self.definition.ml_doc = self.doc
        self.definition.ml_flags = METH_FASTCALL | METH_KEYWORDS
        self.definition.ml_meth = <void *> enter

    cdef PyMethodDef *method_of_subject(self) noexcept:
        """The method in C that does all the work, or NULL.

        The ID has been found to name an object of the right type when the function is called; a
        method descriptor would look for its own type among that one's bases again.
        """
        cdef PyMethodDef *method
        if self.arity == 0 or self.fast[0].kind != FAST_ID:
            return NULL
        if Py_TYPE(<PyObject *> self.function) != &PyMethodDescr_Type:
            return NULL
        for kind in <tuple> self.types[0]:
            if not PyType_IsSubtype(<PyTypeObject *> kind, <PyTypeObject *> self.function.__objclass__):
                return NULL
        method = (<PyMethodDescrObject *> self.function).d_method
        if (method.ml_flags == METH_FASTCALL | METH_KEYWORDS or (method.ml_flags == METH_O and self.arity == 2)
                or (method.ml_flags == METH_NOARGS and self.arity == 1)):
            return method
        return NULL

    cdef PyObject *look_up(self, PyObject *value) except? NULL:
        """The object behind an ID given for the first parameter, if that is one of the right kind.

        Loops pass the same number again, or pass it to one function after the other: as long as what it
        named is not closed, it is that still. Returns a new reference, or NULL.
        """
        cdef PyObject *found = self.recent.recall(value)
        if found != NULL:
            Py_INCREF(found)
            return found
        found = recent_of_all.recall(value)
        if found == NULL or not self.is_of_type(found):
            if not PyLong_CheckExact(<object> value):
                return NULL
            found = PyDict_GetItemWithError(self.objects, value)
            if found == NULL or not self.is_of_type(found):
                return NULL
        Py_INCREF(found)
        if isinstance(<object> found, Socket):
            self.recent.remember(<object> value, <object> found)
            recent_of_all.remember(<object> value, <object> found)
        return found

    cdef bint is_of_type(self, PyObject *value) noexcept:
        if Py_TYPE(value) == self.fast[0].type:
            return True
        for base in <tuple> self.types[0]:
            if PyType_IsSubtype(Py_TYPE(value), <PyTypeObject *> base):
                return True
        return False

    cdef bint passes(self, Py_ssize_t index, PyObject *value) noexcept:
        """May the argument go on unchanged, as its kind would let it?"""
        cdef Fast *fast = &self.fast[index]
        cdef long long number
        cdef int overflow = 0
        if fast.kind == FAST_NUMBER:
            if not PyLong_CheckExact(<object> value):
                return False
            number = PyLong_AsLongLongAndOverflow(value, &overflow)
            return overflow == 0 and fast.low <= number <= fast.high
        if fast.kind == FAST_LIST:
            return PyList_CheckExact(<object> value)
        if (fast.kind == FAST_DATA or fast.kind == FAST_BYTES) and PyBytes_CheckExact(<object> value):
            return True
        if fast.kind == FAST_DATA or fast.kind == FAST_TEXT or fast.kind == FAST_MESSAGE:
            return (PyUnicode_CheckExact(<object> value) and PyUnicode_IS_COMPACT_ASCII(value)
                    and (fast.kind != FAST_TEXT or PyUnicode_GET_LENGTH(value) > 0))
        return False


cdef PyObject *run(Call self, PyObject *const *args, Py_ssize_t count) except NULL:
    """The way most calls take: an ID and arguments that can go on unchanged, to a method in C."""
    cdef PyMethodDef *method = self.method
    cdef PyObject *subject
    cdef PyObject *result
    cdef Py_ssize_t i
    if method == NULL:
        return run_checked(self, args, count)
    subject = self.look_up(args[0])
    if subject == NULL:
        return run_checked(self, args, count)
    for i in range(1, count):
        if not self.passes(i, args[i]):
            Py_DECREF(subject)
            return run_checked(self, args, count)
    # Held until the method returns, so that no other thread's close can take it from under it.
    if method.ml_flags == METH_FASTCALL | METH_KEYWORDS:
        result = (<WithMany> method.ml_meth)(subject, args + 1, count - 1, NULL)
    else:
        result = (<WithNone> method.ml_meth)(subject, args[1] if count == 2 else NULL)
    Py_DECREF(subject)
    return result


cdef PyObject *run_checked(Call self, PyObject *const *args, Py_ssize_t count) except NULL:
    """Check `count` arguments, which is the right number, and call the function.

    The caller holds the arguments; what is found or made here is held until the function returns,
    so that no other thread's close can take the object from under it.
    """
    cdef PyObject *checked[MOST_PARAMETERS]
    cdef PyObject *found
    cdef object _held
    cdef list made = None
    cdef Py_ssize_t i
    for i in range(count):
        if i == 0 and self.fast[i].kind == FAST_ID:
            found = self.look_up(args[i])
            if found != NULL:
                _held = <object> found
                Py_DECREF(found)
                checked[i] = found
                continue
        elif self.passes(i, args[i]):
            checked[i] = args[i]
            continue
        value = self.kinds[i].check(<object> args[i], self.parameters[i])
        if made is None:
            made = []
        made.append(value)
        checked[i] = <PyObject *> value
    return PyObject_Vectorcall(self.function, checked, count, NULL)


ctypedef PyObject *(*Run)(Call, PyObject *const *, Py_ssize_t) noexcept


cdef PyObject *enter(PyObject *bound, PyObject *const *args, Py_ssize_t count, PyObject *names) except NULL:
    """What the interpreter calls.

    Catching an exception costs a call that raises none a fifth of its way in, so run() is called as
    if it could not raise: NULL is an exception that is set, which explain() then catches.
    """
    cdef PyObject *result
    if names == NULL and count == (<Call> bound).arity:
        result = (<Run> run)(<Call> bound, args, count)
        if result != NULL:
            return result
    return explain(<Call> bound, args, count, names)


cdef PyObject *explain(Call self, PyObject *const *args, Py_ssize_t count, PyObject *names) except NULL:
    """The call again if its arguments have to be arranged first, and an error as it leaves the library."""
    cdef tuple arranged
    try:
        if PyErr_Occurred() != NULL:
            raise_what_is_set()
        arranged = self.declaration.arrange(positional(args, count), named(args + count, names))
        return run(self, &(<PyTupleObject *> arranged).ob_item[0], self.arity)
    except (DryadNetError, OSError) as error:
        explained = self.declaration.explain(error, positional(args, count), named(args + count, names))
        if explained is error:
            raise
        raise explained from error


cdef extern from "Python.h":
    ctypedef struct PyTupleObject:
        PyObject *ob_item[1]


cdef tuple positional(PyObject *const *args, Py_ssize_t count):
    """The arguments that were given by position."""
    return tuple([<object> args[i] for i in range(count)])


cdef dict named(PyObject *const *values, PyObject *names):
    """The arguments that were given by name; names: a tuple, or NULL for none."""
    cdef Py_ssize_t i
    cdef dict keywords = {}
    if names != NULL:
        for i, name in enumerate(<tuple> names):
            keywords[name] = <object> values[i]
    return keywords


def bind(declaration):
    """Make the function that scripts call.

    declaration: a registry.Declaration.
    Returns a builtin function that takes its arguments by position or name, checks them, calls
    declaration.function with what they stand for, and raises nothing but documented errors.
    """
    cdef Call bound = Call(declaration)
    return PyCFunction_NewEx(&bound.definition, bound, declaration.module)
