/* Asks for what the name of a segment says; its path and source are the arguments. */
#include "kubeshark_plugin.h"

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static char path[4096], source[4096];

static void copy(char *to, ks_bytes text) {
    uint32_t length = text.length < 4095 ? text.length : 4095;
    memcpy(to, text.data, length);
    to[length] = 0;
}

static void log_text(ks_report *out, ks_bytes text) {
    static char line[65536];
    snprintf(line, sizeof line, "%.*s", (int)text.length, (const char *)text.data);
    ks_log(out, ks_literal(line));
}

static bool is(ks_bytes name, const char *text) { return ks_equal(name, ks_literal(text)); }

/* The channel is the highest of our sockets: what a plugin that knows our code could do. */
static void write_channel(const void *data, size_t length) {
    for (int fd = 15; fd >= 3; fd--)
        if (send(fd, data, length, 0) >= 0) return;
}

static void segment_sealed(const ks_segment *segment, ks_report *out) {
    static uint8_t much[9 << 20];
    ks_answer answer;
    bool done = false;
    copy(path, segment->path);
    copy(source, segment->source);
    if (is(segment->name, "http")) {
        done = ks_http(&answer, source[0] ? "POST" : "GET", path, "X-From: c\n", ks_literal(source));
        if (done) {
            static char line[8192];
            ks_bytes status = ks_answer_part(&answer, 0), reason = ks_answer_part(&answer, 1), body = ks_answer_part(&answer, 4);
            bool plain = strstr((const char *)ks_answer_part(&answer, 3).data, "X-Kind: plain") != NULL;
            snprintf(line, sizeof line, "%.*s %.*s %s %.*s", (int)status.length, (const char *)status.data, (int)reason.length,
                     (const char *)reason.data, plain ? "plain" : "?", (int)body.length, (const char *)body.data);
            ks_log(out, ks_literal(line));
            return;
        }
    } else if (is(segment->name, "header")) {
        done = ks_http(&answer, "GET", path, "X: y\rHost: evil\n", ks_literal(""));
    } else if (is(segment->name, "read")) {
        done = ks_file_read(&answer, path);
        if (done) {
            log_text(out, ks_answer_part(&answer, 0));
            return;
        }
    } else if (is(segment->name, "write")) {
        done = ks_file_write(&answer, path, ks_literal(source));
    } else if (is(segment->name, "append")) {
        done = ks_file_append(&answer, path, ks_literal(source));
    } else if (is(segment->name, "list")) {
        static char line[4096];
        size_t at = 0;
        done = ks_file_list(&answer, path);
        for (uint32_t i = 0; done && i + 2 < answer.count && at < sizeof line - 512; i += 3) {
            ks_bytes name = ks_answer_part(&answer, i), kind = ks_answer_part(&answer, i + 1), size = ks_answer_part(&answer, i + 2);
            at += (size_t)snprintf(line + at, 512, "%s%.*s:%.*s:%.*s", i ? " " : "", (int)name.length, (const char *)name.data,
                                   (int)kind.length, (const char *)kind.data, (int)size.length, (const char *)size.data);
        }
        if (done) {
            ks_log(out, ks_literal(line));
            return;
        }
    } else if (is(segment->name, "delete")) {
        done = ks_file_delete(&answer, path);
    } else if (is(segment->name, "folder")) {
        done = ks_file_make_folder(&answer, path);
    } else if (is(segment->name, "move")) {
        done = ks_file_move(&answer, path, source);
    } else if (is(segment->name, "large")) {
        ks_bytes data = {much, sizeof much};
        done = ks_file_write(&answer, path, data);
    } else if (is(segment->name, "flood")) {
        for (;;) ks_file_read(&answer, "data/nothing");
    } else if (is(segment->name, "nonsense")) {
        ks_bytes parts[1] = {ks_literal("nothing")};
        done = ks_ask(&answer, parts, 1);
    } else if (is(segment->name, "giant")) {
        write_channel("\xff\xff\xff\xff", 4);
        for (;;) write_channel(much, 65536);
    } else if (is(segment->name, "zero")) {
        write_channel("\0\0\0\0\0\0\0\0", 8);
        for (;;) __asm__ volatile("");
    } else if (is(segment->name, "half")) {
        write_channel("\x64\0\0\0half", 8);
        for (;;) __asm__ volatile("");
    } else if (is(segment->name, "trickle")) {
        write_channel("\0\0\x40\0", 4);
        for (;;) write_channel("x", 1);
    } else if (is(segment->name, "twice")) {
        write_channel("\x08\0\0\0\0\0\0\0\0\0\0\0\x08\0\0\0\0\0\0\0\0\0\0\0", 24);
        for (;;) __asm__ volatile("");
    } else if (is(segment->name, "unread")) {
        for (;;) write_channel("\x08\0\0\0\0\0\0\0\0\0\0\0", 12);
    } else {
        snprintf((char *)much, 4096, "%.2000s %.2000s", path, source);
        ks_log(out, ks_literal((const char *)much));
        return;
    }
    if (done) ks_log(out, ks_literal("undefined"));
    else {
        static char line[1024];
        ks_bytes why = ks_answer_error(&answer);
        snprintf(line, sizeof line, "%u: %.*s", answer.status, (int)why.length, (const char *)why.data);
        ks_refuse(out, line);
    }
}

static uint32_t dissect(const ks_item *item, ks_writer *out) {
    ks_answer answer;
    copy(path, item->bytes);
    bool done = ks_http(&answer, "GET", path, "", ks_literal(""));
    ks_message(out, KS_EVENT, 0, item->bytes.length);
    static char line[1024];
    ks_bytes said = done ? ks_answer_part(&answer, 4) : ks_answer_error(&answer);
    snprintf(line, sizeof line, "%.*s", (int)said.length, (const char *)said.data);
    ks_string(out, 0, line);
    return item->bytes.length;
}

static void start(ks_report *out) {
    ks_answer answer;
    log_text(out, ks_answer_part((ks_file_read(&answer, "data/at-start"), &answer), 0));
}

static void stop(ks_report *out) {
    ks_answer answer;
    (void)out;
    if (ks_file_read(&answer, "data/at-start") && is(ks_answer_part(&answer, 0), "never stop"))
        for (;;) ks_file_read(&answer, "data/at-start");
    ks_file_write(&answer, "data/at-stop", ks_literal("stopped"));
}

const ks_plugin_hooks ks_plugin = {.dissect = dissect, .segment_sealed = segment_sealed, .start = start, .stop = stop};
