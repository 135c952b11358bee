/* Base 64 (RFC 4648 §4) as text, for objects.c: what Python has goes byte by byte, and images are many bytes.
 *
 * Oracle: base64.b64encode. */
#ifndef KUBESHARK_BASE64_H
#define KUBESHARK_BASE64_H

static char base64_pairs[4096][2]; /* the two characters of twelve bits */

static void fill_base64_pairs(void) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (int bits = 0; bits < 4096; bits++) {
        base64_pairs[bits][0] = letters[bits >> 6];
        base64_pairs[bits][1] = letters[bits & 63];
    }
}

static void encode_base64(const unsigned char *bytes, Py_ssize_t length, char *out) {
    for (; length >= 3; bytes += 3, length -= 3, out += 4) {
        const unsigned bits = (unsigned)bytes[0] << 16 | (unsigned)bytes[1] << 8 | bytes[2];
        memcpy(out, base64_pairs[bits >> 12], 2);
        memcpy(out + 2, base64_pairs[bits & 4095], 2);
    }
    if (!length) return;
    const unsigned bits = (unsigned)bytes[0] << 16 | (length == 2 ? (unsigned)bytes[1] << 8 : 0);
    memcpy(out, base64_pairs[bits >> 12], 2);
    memcpy(out + 2, base64_pairs[bits & 4095], 2);
    if (length == 1) out[2] = '=';
    out[3] = '=';
}

PyDoc_STRVAR(base64_doc, "base64(data)\n--\n\nReturn the data in base 64.");

static PyObject *base64(PyObject *module, PyObject *argument) {
    (void)module;
    Py_buffer data;
    if (PyObject_GetBuffer(argument, &data, PyBUF_SIMPLE) < 0) return NULL;
    PyObject *text = NULL;
    const Py_ssize_t groups = data.len / 3 + (data.len % 3 != 0);
    char *out = groups <= PY_SSIZE_T_MAX / 4 ? PyMem_Malloc(groups ? (size_t)groups * 4 : 1) : NULL;
    if (out) {
        encode_base64(data.buf, data.len, out);
        text = PyUnicode_FromStringAndSize(out, groups * 4);
        PyMem_Free(out);
    } else {
        PyErr_NoMemory();
    }
    PyBuffer_Release(&data);
    return text;
}

#endif
