/* Header lines as the two maps that documents and filters need (RFC 9112 §5), for objects.c.
 *
 * Only what is plain: ASCII, no line that goes on with the one before, no name twice. The rest is read in Python.
 * Oracle: read_fields in pipeline/dissectors/web/_http_fields.py. */
#ifndef KUBESHARK_HEADERS_H
#define KUBESHARK_HEADERS_H

enum { MAX_NAME = 64, KNOWN_NAMES = 256 }; /* bytes of a name; names that are kept: a power of two */

/* A header's name as it was last spelt, and in lower case: the same few come again and again. */
typedef struct {
    char bytes[MAX_NAME];
    Py_ssize_t length;
    PyObject *name, *lower;
} known_name;

static known_name known_names[KNOWN_NAMES];

/* Whether bytes.strip() takes it off. */
static int is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static int is_ascii(const char *bytes, Py_ssize_t length) {
    uint64_t seen = 0, word;
    Py_ssize_t at = 0;
    for (; at + 8 <= length; at += 8) {
        memcpy(&word, bytes + at, 8);
        seen |= word;
    }
    for (; at < length; at++) seen |= (uint64_t)(unsigned char)bytes[at] << 56 | (unsigned char)bytes[at];
    return (seen & 0x8080808080808080ull) == 0;
}

static void strip(const char **begin, const char **end) {
    while (*begin < *end && is_blank(**begin)) ++*begin;
    while (*end > *begin && is_blank((*end)[-1])) --*end;
}

/* Return the name's place in the table, made if need be; NULL with an exception without memory. */
static known_name *find_name(const char *bytes, Py_ssize_t length) {
    known_name *known = &known_names[place_of(bytes, length) & (KNOWN_NAMES - 1)];
    if (known->name && known->length == length && memcmp(known->bytes, bytes, (size_t)length) == 0) return known;
    char low[MAX_NAME];
    for (Py_ssize_t i = 0; i < length; i++) {
        char c = bytes[i];
        low[i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
    }
    PyObject *name = PyUnicode_FromStringAndSize(bytes, length);
    PyObject *lower = name && memcmp(low, bytes, (size_t)length) != 0 ? PyUnicode_FromStringAndSize(low, length)
                                                                      : Py_XNewRef(name);
    if (!lower) {
        Py_XDECREF(name);
        return NULL;
    }
    PyObject *old_name = known->name, *old_lower = known->lower;
    memcpy(known->bytes, bytes, (size_t)length);
    known->length = length;
    known->name = name;
    known->lower = lower;
    Py_XDECREF(old_name);
    Py_XDECREF(old_lower);
    return known;
}

/* 1: added; 0: not plain; -1: an exception. */
static int add_field(const char *line, const char *end, PyObject *shown, PyObject *by_name) {
    const char *colon = memchr(line, ':', (size_t)(end - line));
    const char *name_end = colon ? colon : end, *value = colon ? colon + 1 : end;
    strip(&line, &name_end);
    strip(&value, &end);
    if (name_end - line > MAX_NAME) return 0;
    known_name *known = find_name(line, name_end - line);
    PyObject *text = known ? PyUnicode_FromStringAndSize(value, value < end ? end - value : 0) : NULL;
    if (!text) return -1;
    const Py_ssize_t before = PyDict_Size(by_name);
    int result = PyDict_SetItem(by_name, known->lower, text) < 0 ? -1 : PyDict_Size(by_name) > before;
    if (result == 1 && PyDict_SetItem(shown, known->name, text) < 0) result = -1;
    Py_DECREF(text);
    return result;
}

/* As add_field, of all lines. */
static int add_fields(const char *block, Py_ssize_t length, PyObject *shown, PyObject *by_name) {
    const char *end = block + length;
    if (!is_ascii(block, length)) return 0;
    for (const char *line = block, *stop; line < end; line = stop < end ? stop + 1 : end) {
        stop = memchr(line, '\n', (size_t)(end - line));
        if (!stop) stop = end;
        if (*line == ' ' || *line == '\t') return 0; /* it goes on with the one before */
        const char *text_end = stop > line && stop[-1] == '\r' ? stop - 1 : stop;
        if (text_end > line && (text_end[-1] == '\r' || *line == '\r')) return 0;
        if (text_end > line) {
            const int result = add_field(line, text_end, shown, by_name);
            if (result != 1) return result;
        }
    }
    return 1;
}

PyDoc_STRVAR(fields_doc, "fields(block)\n--\n\n"
                         "Return header lines as (by name as spelt, by name in lower case); None if they are not plain.");

static PyObject *fields(PyObject *module, PyObject *argument) {
    (void)module;
    Py_buffer block;
    if (PyObject_GetBuffer(argument, &block, PyBUF_SIMPLE) < 0) return NULL;
    PyObject *shown = PyDict_New(), *by_name = PyDict_New(), *result = NULL;
    const int done = shown && by_name ? add_fields(block.buf, block.len, shown, by_name) : -1;
    if (done == 1)
        result = PyTuple_Pack(2, shown, by_name);
    else if (done == 0)
        result = Py_NewRef(Py_None);
    Py_XDECREF(shown);
    Py_XDECREF(by_name);
    PyBuffer_Release(&block);
    return result;
}

#endif
