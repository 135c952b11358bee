/* Fuzzes what makes Python objects of bytes (pipeline/native): nothing is read or written outside, no object is lost.
 *
 * The first byte chooses a function, the rest is what it reads, in a block of just that size. Built by run_core.sh with
 * Python in it. What the functions say is compared with Python by tests/pipeline/tables/test_objects.py.
 */
#include "../../pipeline/native/objects.c"

#include <stdio.h>
#include <stdlib.h>

#define LISTS 4

static PyObject *lists;

static void check(int condition) {
    if (!condition) {
        PyErr_Print();
        abort();
    }
}

static void start(void) {
    setenv("PYTHONMALLOC", "malloc", 1); /* so that the sanitizer sees objects */
    Py_Initialize();
    fill_base64_pairs(); /* what the module does when it is loaded */
    lists = PyTuple_New(LISTS);
    for (long list = 0; list < LISTS; list++) { /* of 0, 16, 32, … numbers */
        PyObject *values = PyList_New(0);
        for (long number = 0; number < 16 * list; number++) check(PyList_Append(values, PyLong_FromLong(number)) == 0);
        check(PyTuple_SetItem(lists, list, values) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length) {
    if (!lists) start();
    if (length == 0) return 0;
    const uint8_t which = data[0];
    char *block = malloc(length > 1 ? length - 1 : 1);
    memcpy(block, data + 1, length - 1);
    const Py_ssize_t size = (Py_ssize_t)length - 1, spans = size / 16 * 8;
    PyObject *all = PyMemoryView_FromMemory(block, size, PyBUF_READ), *made = NULL;
    PyObject *where = PyMemoryView_FromMemory(block, spans, PyBUF_READ); /* of texts: both the spans and the data */
    check(all && where);
    switch (which % 4) {
        case 0: made = fields(NULL, all); break;
        case 1: made = base64(NULL, all); break;
        case 2: made = texts(NULL, (PyObject *const[]){all, where}, 2); break;
        case 3: made = pick(NULL, (PyObject *const[]){lists, all}, 2); break;
    }
    if (made && which % 4 == 1) check(PyUnicode_GetLength(made) == (size + 2) / 3 * 4);
    check(made || PyErr_ExceptionMatches(PyExc_IndexError)); /* a span or a place that lies outside */
    PyErr_Clear();
    Py_XDECREF(made);
    Py_DECREF(where);
    Py_DECREF(all);
    free(block);
    return 0;
}

#ifdef FUZZ_DRIVER
#include "driver.h"
#endif
