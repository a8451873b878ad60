// Python's limited C API, 3.11 and later, and what Swift cannot import of it: macros, and global variables that strict
// concurrency does not let Swift read. Headers are found by version, so no compiler flag depends on the machine.
#pragma once

#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN

// Before Python.h, which asks glibc for more than other C modules of a Swift program do: the types that both see must
// be declared alike.
#include <stdint.h>
#include <stdlib.h>
#include <sys/select.h>

#if __has_include(<Python.h>)
#include <Python.h>
#elif __has_include(<python3.11/Python.h>)
#include <python3.11/Python.h>
#elif __has_include(<python3.12/Python.h>)
#include <python3.12/Python.h>
#elif __has_include(<python3.13/Python.h>)
#include <python3.13/Python.h>
#elif __has_include(<python3.14/Python.h>)
#include <python3.14/Python.h>
#else
#error "Python.h (3.11 or later) was not found; on Debian: apt-get install libpython3-dev"
#endif

/// An instance of any of our types: a Python object that owns one retained Swift object.
typedef struct {
    PyObject_HEAD
    void *payload;
} MoescopeObject;

static inline PyObject *moescope_none(void) { return Py_NewRef(Py_None); }
static inline PyObject *moescope_bool(int value) { return Py_NewRef(value ? Py_True : Py_False); }
static inline int moescope_is_none(PyObject *object) { return object == Py_None; }
static inline int moescope_is_true(PyObject *object) { return object == Py_True; }
static inline int moescope_is_bool(PyObject *object) { return PyBool_Check(object); }
static inline int moescope_is_str(PyObject *object) { return PyUnicode_Check(object); }
static inline int moescope_is_text(PyObject *object) {
    return PyUnicode_Check(object) || PyBytes_Check(object) || PyByteArray_Check(object);
}
static inline PyTypeObject *moescope_type(PyObject *object) { return Py_TYPE(object); }

static inline PyObject *moescope_ValueError(void) { return PyExc_ValueError; }
static inline PyObject *moescope_TypeError(void) { return PyExc_TypeError; }
static inline PyObject *moescope_IndexError(void) { return PyExc_IndexError; }
static inline PyObject *moescope_KeyError(void) { return PyExc_KeyError; }
static inline PyObject *moescope_BufferError(void) { return PyExc_BufferError; }
static inline PyObject *moescope_OverflowError(void) { return PyExc_OverflowError; }
static inline PyObject *moescope_RuntimeError(void) { return PyExc_RuntimeError; }
static inline PyObject *moescope_MemoryError(void) { return PyExc_MemoryError; }
static inline PyObject *moescope_OSError(void) { return PyExc_OSError; }
static inline PyObject *moescope_FileNotFoundError(void) { return PyExc_FileNotFoundError; }

/// Flags of the buffer protocol, spelled as macros in Python.h.
enum {
    MoescopeBufferWritable = PyBUF_WRITABLE,
    MoescopeBufferFormat = PyBUF_FORMAT,
    MoescopeBufferShape = PyBUF_ND,
    MoescopeBufferStrides = PyBUF_STRIDES,
    MoescopeBufferColumnMajor = PyBUF_F_CONTIGUOUS,
    MoescopeBufferRowMajor = PyBUF_C_CONTIGUOUS,
    MoescopeTypeFlags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
};

/// PyModuleDef_HEAD_INIT and Py_buffer's fields cannot be written in Swift.
static inline void moescope_prepare_module(PyModuleDef *definition) {
    PyModuleDef_Base head = PyModuleDef_HEAD_INIT;
    definition->m_base = head;
}

// DLPack's ABI (version 1.0), for `__dlpack__`.
typedef struct {
    int32_t type;
    int32_t index;
} DLPackDevice;

typedef struct {
    void *data;
    DLPackDevice device;
    int32_t dimensions;
    uint8_t typeCode;
    uint8_t typeBits;
    uint16_t typeLanes;
    int64_t *shape;
    int64_t *strides;
    uint64_t byteOffset;
} DLPackTensor;

typedef struct DLPackManaged {
    DLPackTensor tensor;
    void *context;
    void (*deleter)(struct DLPackManaged *);
} DLPackManaged;

typedef struct DLPackVersioned {
    uint32_t major;
    uint32_t minor;
    void *context;
    void (*deleter)(struct DLPackVersioned *);
    uint64_t flags;
    DLPackTensor tensor;
} DLPackVersioned;

// The Arrow C data interface and C stream interface, for `__arrow_c_stream__`. The layout is the specification's.
typedef struct ArrowSchema {
    const char *format;
    const char *name;
    const char *metadata;
    int64_t flags;
    int64_t childCount;
    struct ArrowSchema **children;
    struct ArrowSchema *dictionary;
    void (*release)(struct ArrowSchema *);
    void *context;
} ArrowSchema;

typedef struct ArrowArray {
    int64_t length;
    int64_t nullCount;
    int64_t offset;
    int64_t bufferCount;
    int64_t childCount;
    const void **buffers;
    struct ArrowArray **children;
    struct ArrowArray *dictionary;
    void (*release)(struct ArrowArray *);
    void *context;
} ArrowArray;

typedef struct ArrowStream {
    int (*getSchema)(struct ArrowStream *, ArrowSchema *);
    int (*getNext)(struct ArrowStream *, ArrowArray *);
    const char *(*getLastError)(struct ArrowStream *);
    void (*release)(struct ArrowStream *);
    void *context;
} ArrowStream;
