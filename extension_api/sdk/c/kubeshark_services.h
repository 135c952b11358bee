/* Made by scripts/generate_sdk.py from extension_api/_services.py: change it there. */
#ifndef KUBESHARK_SERVICES_H
#define KUBESHARK_SERVICES_H

/* Ask a web server. Headers are lines `Name: value`. Redirects are followed to granted hosts only. Parts: status, reason, URL, header lines, body. */
static inline bool ks_http(ks_answer *out, const char *method, const char *url, const char *headers, ks_bytes body) {
    ks_bytes parts[5];
    parts[0] = ks_literal("http");
    parts[1] = ks_literal(method);
    parts[2] = ks_literal(url);
    parts[3] = ks_literal(headers);
    parts[4] = body;
    return ks_ask(out, parts, 5);
}

/* Return the bytes of a file. Part 0: the bytes. */
static inline bool ks_file_read(ks_answer *out, const char *path) {
    ks_bytes parts[2];
    parts[0] = ks_literal("file_read");
    parts[1] = ks_literal(path);
    return ks_ask(out, parts, 2);
}

/* Write a file; one that is there is replaced. */
static inline bool ks_file_write(ks_answer *out, const char *path, ks_bytes data) {
    ks_bytes parts[3];
    parts[0] = ks_literal("file_write");
    parts[1] = ks_literal(path);
    parts[2] = data;
    return ks_ask(out, parts, 3);
}

/* Add to the end of a file; made if it is not there. */
static inline bool ks_file_append(ks_answer *out, const char *path, ks_bytes data) {
    ks_bytes parts[3];
    parts[0] = ks_literal("file_append");
    parts[1] = ks_literal(path);
    parts[2] = data;
    return ks_ask(out, parts, 3);
}

/* Return a folder's files and folders by name: name, kind, bytes. Three parts each. */
static inline bool ks_file_list(ks_answer *out, const char *path) {
    ks_bytes parts[2];
    parts[0] = ks_literal("file_list");
    parts[1] = ks_literal(path);
    return ks_ask(out, parts, 2);
}

/* Delete a file, or a folder with all in it. */
static inline bool ks_file_delete(ks_answer *out, const char *path) {
    ks_bytes parts[2];
    parts[0] = ks_literal("file_delete");
    parts[1] = ks_literal(path);
    return ks_ask(out, parts, 2);
}

/* Make a folder and those above it; one that is there is fine. */
static inline bool ks_file_make_folder(ks_answer *out, const char *path) {
    ks_bytes parts[2];
    parts[0] = ks_literal("file_make_folder");
    parts[1] = ks_literal(path);
    return ks_ask(out, parts, 2);
}

/* Rename a file or folder. */
static inline bool ks_file_move(ks_answer *out, const char *source, const char *target) {
    ks_bytes parts[3];
    parts[0] = ks_literal("file_move");
    parts[1] = ks_literal(source);
    parts[2] = ks_literal(target);
    return ks_ask(out, parts, 3);
}

#endif
