/* Python objects made of bytes, or moved, many a call: what one call of the interpreter for each would take ten times as long for.
 *
 * Each function has an oracle in Python, beside where it is called, that gives the same.
 * Only the limited API: one file serves every version of Python. The GIL is held throughout; kept are a few names of headers.
 */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include <stdint.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "columns are little-endian: what is in Python runs here"
#endif

enum { ABI = 5 };
enum { RECENT = 256 }; /* texts that are looked up before one is made: a power of two */

/* Where a text lies in the data. */
typedef struct {
    uint32_t at, length;
} span;

/* A text that was made of these bytes; borrowed: who made it keeps it. */
typedef struct {
    const char *bytes;
    Py_ssize_t length;
    PyObject *text;
} recent;

/* UTF-8, else Latin-1: see pipeline/dissectors/_text.py, `text`. */
static PyObject *make_text(const char *bytes, Py_ssize_t length) {
    PyObject *text = PyUnicode_DecodeUTF8(bytes, length, NULL);
    if (text || !PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) return text;
    PyErr_Clear();
    return PyUnicode_DecodeLatin1(bytes, length, NULL);
}

/* Where a text is looked up: by its length and its first and last bytes. */
static size_t place_of(const char *bytes, Py_ssize_t length) {
    uint64_t first = 0, last = 0;
    if (length >= 8) {
        memcpy(&first, bytes, 8);
        memcpy(&last, bytes + length - 8, 8);
    } else if (length > 0) {
        memcpy(&first, bytes, (size_t)length);
    }
    const uint64_t mixed = (first ^ (last << 29 | last >> 35) ^ (uint64_t)length) * 0x9E3779B97F4A7C15ull;
    return mixed >> 56 & (RECENT - 1);
}

/* A new reference to the text of these bytes: the one that was made of equal bytes a while ago, if it is still known. */
static PyObject *known_text(recent *table, const char *bytes, Py_ssize_t length) {
    recent *known = &table[place_of(bytes, length)];
    if (known->text && known->length == length && memcmp(known->bytes, bytes, (size_t)length) == 0)
        return Py_NewRef(known->text);
    PyObject *text = make_text(bytes, length);
    *known = (recent){bytes, length, text};
    return text;
}

#include "base64.h"
#include "headers.h"

PyDoc_STRVAR(texts_doc, "texts(data, spans)\n--\n\n"
                        "Return the text of each (at, length) of `spans`, pairs of u4, in `data`.");

static PyObject *texts(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    if (count != 2) return PyErr_Format(PyExc_TypeError, "texts takes 2 arguments, not %zd", count);
    Py_buffer data, spans;
    PyObject *list = NULL;
    if (PyObject_GetBuffer(arguments[0], &data, PyBUF_SIMPLE) < 0) return NULL;
    if (PyObject_GetBuffer(arguments[1], &spans, PyBUF_SIMPLE) < 0) {
        PyBuffer_Release(&data);
        return NULL;
    }
    recent table[RECENT];
    memset(table, 0, sizeof table);
    const Py_ssize_t rows = spans.len / (Py_ssize_t)sizeof(span);
    list = PyList_New(rows);
    for (Py_ssize_t row = 0; list && row < rows; row++) {
        span s;
        memcpy(&s, (const char *)spans.buf + row * (Py_ssize_t)sizeof s, sizeof s);
        PyObject *text = NULL;
        if ((uint64_t)s.at + s.length > (uint64_t)data.len)
            PyErr_SetString(PyExc_IndexError, "a text does not lie within the data");
        else
            text = known_text(table, (const char *)data.buf + s.at, s.length);
        if (text)
            PyList_SetItem(list, row, text);
        else
            Py_CLEAR(list);
    }
    PyBuffer_Release(&spans);
    PyBuffer_Release(&data);
    return list;
}

/* Lists laid end to end, read by places in all of them. Neighbours mostly lie in the same list: it is kept. */
typedef struct {
    PyObject *lists; /* a tuple of lists; borrowed, as is the one below */
    int64_t *starts; /* of each list, and where the last one ends */
    Py_ssize_t count;
    PyObject *list;
    int64_t first, behind; /* its places */
} laid_lists;

static int lay_lists(laid_lists *laid, PyObject *lists) {
    if (!PyTuple_Check(lists)) return PyErr_SetString(PyExc_TypeError, "pick takes a tuple of lists"), -1;
    *laid = (laid_lists){.lists = lists, .count = PyTuple_Size(lists)};
    laid->starts = PyMem_Malloc((size_t)(laid->count + 1) * sizeof *laid->starts);
    if (!laid->starts) return PyErr_NoMemory(), -1;
    laid->starts[0] = 0;
    for (Py_ssize_t i = 0; i < laid->count; i++) {
        PyObject *list = PyTuple_GetItem(lists, i);
        if (!PyList_Check(list)) return PyErr_SetString(PyExc_TypeError, "pick takes a tuple of lists"), -1;
        laid->starts[i + 1] = laid->starts[i] + PyList_Size(list);
    }
    return 0;
}

/* Keep the list that holds a place; false if none does. */
static int find_list(laid_lists *laid, int64_t place) {
    const int64_t *starts = laid->starts;
    if (place < 0 || place >= starts[laid->count]) return 0;
    Py_ssize_t low = 0, high = laid->count; /* it is in one of [low, high) */
    while (high > low + 1) {
        const Py_ssize_t middle = low + (high - low) / 2;
        if (starts[middle] <= place) low = middle;
        else high = middle;
    }
    laid->list = PyTuple_GetItem(laid->lists, low);
    laid->first = starts[low];
    laid->behind = starts[low + 1];
    return 1;
}

PyDoc_STRVAR(pick_doc, "pick(lists, places)\n--\n\n"
                       "Return the items at these places, i8, of a tuple of lists that are thought laid end to end.");

static PyObject *pick(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module;
    if (count != 2) return PyErr_Format(PyExc_TypeError, "pick takes 2 arguments, not %zd", count);
    Py_buffer places;
    laid_lists laid = {0};
    if (PyObject_GetBuffer(arguments[1], &places, PyBUF_SIMPLE) < 0) return NULL;
    const Py_ssize_t rows = places.len / (Py_ssize_t)sizeof(int64_t);
    PyObject *picked = lay_lists(&laid, arguments[0]) < 0 ? NULL : PyList_New(rows);
    for (Py_ssize_t row = 0; picked && row < rows; row++) {
        int64_t place;
        memcpy(&place, (const char *)places.buf + row * (Py_ssize_t)sizeof place, sizeof place);
        if ((place >= laid.first && place < laid.behind) || find_list(&laid, place)) {
            PyList_SetItem(picked, row, Py_NewRef(PyList_GetItem(laid.list, (Py_ssize_t)(place - laid.first))));
        } else {
            PyErr_SetString(PyExc_IndexError, "a place does not lie within the lists");
            Py_CLEAR(picked);
        }
    }
    PyMem_Free(laid.starts);
    PyBuffer_Release(&places);
    return picked;
}

static PyMethodDef methods[] = {
    {"base64", base64, METH_O, base64_doc},
    {"fields", fields, METH_O, fields_doc},
    {"pick", (PyCFunction)(void (*)(void))pick, METH_FASTCALL, pick_doc},
    {"texts", (PyCFunction)(void (*)(void))texts, METH_FASTCALL, texts_doc},
    {NULL, NULL, 0, NULL},
};

static int fill(PyObject *module) {
    fill_base64_pairs();
    return PyModule_AddIntConstant(module, "ABI", ABI);
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, fill},
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_objects_native",
    .m_doc = "Python objects made of bytes, many a call.",
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__objects_native(void) { return PyModuleDef_Init(&definition); }
