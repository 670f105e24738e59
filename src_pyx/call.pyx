"""The way into a native function: count the arguments, check them, ID to object, name the errors.

A builtin function around a Declaration of registry.py. What checks.py marks as `fast` is decided
here, in C; everything else, and every refusal, is decided there.
"""

from cpython.bytes cimport PyBytes_CheckExact
from cpython.long cimport PyLong_CheckExact
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from cpython.unicode cimport PyUnicode_CheckExact

from ..checks import FAST_DATA as _FAST_DATA
from ..checks import FAST_ID as _FAST_ID
from ..checks import FAST_NUMBER as _FAST_NUMBER
from ..checks import FAST_TEXT as _FAST_TEXT
from ..errors import DryadNetError

cdef extern from "Python.h":
    ctypedef struct PyMethodDef:
        const char *ml_name
        void *ml_meth
        int ml_flags
        const char *ml_doc
    const int METH_FASTCALL, METH_KEYWORDS
    object PyCFunction_NewEx(PyMethodDef *definition, object bound, object module)
    PyObject *PyDict_GetItemWithError(object mapping, PyObject *key) except? NULL
    object PyObject_Vectorcall(object function, PyObject *const *args, size_t count, PyObject *names)
    long long PyLong_AsLongLongAndOverflow(PyObject *number, int *overflow) except? -1
    bint PyUnicode_IS_COMPACT_ASCII(PyObject *text)
    Py_ssize_t PyUnicode_GET_LENGTH(PyObject *text)
    ctypedef struct PyTypeObject:
        pass
    PyTypeObject *Py_TYPE(PyObject *value)
    bint PyType_IsSubtype(PyTypeObject *kind, PyTypeObject *base)

cdef enum:
    MOST_PARAMETERS = 8

cdef int FAST_ID = _FAST_ID
cdef int FAST_NUMBER = _FAST_NUMBER
cdef int FAST_DATA = _FAST_DATA
cdef int FAST_TEXT = _FAST_TEXT


cdef struct Fast:
    int kind
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

    def __cinit__(self, declaration):
        cdef Py_ssize_t i
        self.declaration = declaration
        self.function = declaration.function
        self.objects = declaration.objects
        self.kinds = declaration.kinds
        self.parameters = declaration.parameters
        self.arity = len(self.kinds)
        if self.arity > MOST_PARAMETERS:
            raise ValueError("too many parameters")
        self.types = tuple([kind.types for kind in self.kinds])
        for i in range(self.arity):
            self.fast[i].kind = self.kinds[i].fast
            self.fast[i].low = self.kinds[i].low
            self.fast[i].high = self.kinds[i].high
        self.name = declaration.name.encode()
        # The first line is what inspect.signature reads (__text_signature__).
        self.doc = f"{declaration.name}({', '.join(self.parameters)})\n--\n\n{declaration.doc}".encode()
        self.definition.ml_name = self.name
        self.definition.ml_doc = self.doc
        self.definition.ml_flags = METH_FASTCALL | METH_KEYWORDS
        self.definition.ml_meth = <void *> enter

    cdef object run(self, PyObject *const *args, Py_ssize_t count):
        """Check `count` arguments, which is the right number, and call the function."""
        cdef PyObject *checked[MOST_PARAMETERS]
        cdef Py_ssize_t done = 0
        cdef object value
        try:
            while done < count:
                value = self.checked(done, args[done])
                Py_INCREF(value)
                checked[done] = <PyObject *> value
                done += 1
            return PyObject_Vectorcall(self.function, checked, count, NULL)
        finally:
            while done > 0:
                done -= 1
                Py_DECREF(<object> checked[done])

    cdef object checked(self, Py_ssize_t index, PyObject *value):
        """One argument as the function takes it."""
        cdef int kind = self.fast[index].kind
        cdef PyObject *found
        cdef long long number
        cdef int overflow = 0
        if kind == FAST_ID:
            if PyLong_CheckExact(<object> value):
                found = PyDict_GetItemWithError(self.objects, value)
                if found != NULL and self.is_of_type(index, found):
                    return <object> found
        elif kind == FAST_NUMBER:
            if PyLong_CheckExact(<object> value):
                number = PyLong_AsLongLongAndOverflow(value, &overflow)
                if overflow == 0 and self.fast[index].low <= number <= self.fast[index].high:
                    return <object> value
        elif kind == FAST_DATA:
            if PyBytes_CheckExact(<object> value):
                return <object> value
            if PyUnicode_CheckExact(<object> value) and PyUnicode_IS_COMPACT_ASCII(value):
                return <object> value
        elif kind == FAST_TEXT:
            if (PyUnicode_CheckExact(<object> value) and PyUnicode_IS_COMPACT_ASCII(value)
                    and PyUnicode_GET_LENGTH(value) > 0):
                return <object> value
        return self.kinds[index].check(<object> value, self.parameters[index])

    cdef bint is_of_type(self, Py_ssize_t index, PyObject *value) noexcept:
        cdef PyTypeObject *kind = Py_TYPE(value)
        cdef tuple types = <tuple> self.types[index]
        for base in types:
            if <PyTypeObject *> base == kind or PyType_IsSubtype(kind, <PyTypeObject *> base):
                return True
        return False


cdef object enter(object bound, PyObject *const *args, Py_ssize_t count, PyObject *names):
    """What the interpreter calls."""
    cdef Call self = <Call> bound
    cdef tuple arranged
    try:
        if names == NULL and count == self.arity:
            return self.run(args, count)
        arranged = arrange(self, args, count, names)
        return self.run(&(<PyTupleObject *> arranged).ob_item[0], self.arity)
    except (DryadNetError, OSError) as error:
        explained = self.declaration.explain(error, tuple([<object> args[i] for i in range(count)]))
        if explained is error:
            raise
        raise explained from error


cdef extern from "Python.h":
    ctypedef struct PyTupleObject:
        PyObject *ob_item[1]


cdef tuple arrange(Call self, PyObject *const *args, Py_ssize_t count, PyObject *names):
    """Arguments given by name too, or not as many as there should be."""
    cdef Py_ssize_t i
    cdef dict keywords = {}
    if names != NULL:
        for i, name in enumerate(<tuple> names):
            keywords[name] = <object> args[count + i]
    return self.declaration.arrange(tuple([<object> args[i] for i in range(count)]), keywords)


def bind(declaration):
    """Make the function that scripts call.

    declaration: a registry.Declaration.
    Returns a builtin function that takes its arguments by position or name, checks them, calls
    declaration.function with what they stand for, and raises nothing but documented errors.
    """
    cdef Call bound = Call(declaration)
    return PyCFunction_NewEx(&bound.definition, bound, declaration.module)
