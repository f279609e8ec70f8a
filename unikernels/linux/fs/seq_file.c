#include "fs/seq_file.h"

#include "lib/string.h"
#include "mm/kmalloc.h"

static char *reserve(struct seq_file *seq, size_t len)
{
    if (seq->failed)
        return NULL;
    if (seq->len + len > seq->size) {
        size_t size = MAX(seq->size * 2, 512ul);
        while (size < seq->len + len)
            size *= 2;
        char *buf = krealloc(seq->buf, size);
        if (!buf) {
            seq->failed = true;
            return NULL;
        }
        seq->buf = buf;
        seq->size = size;
    }
    return seq->buf + seq->len;
}

void seq_write(struct seq_file *seq, const void *data, size_t len)
{
    char *to = reserve(seq, len);

    if (to) {
        memcpy(to, data, len);
        seq->len += len;
    }
}

void seq_puts(struct seq_file *seq, const char *text)
{
    seq_write(seq, text, strlen(text));
}

void seq_printf(struct seq_file *seq, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    int len = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *to = len >= 0 ? reserve(seq, (size_t)len + 1) : NULL;
    if (!to)
        return;
    va_start(ap, fmt);
    vsnprintf(to, (size_t)len + 1, fmt, ap);
    va_end(ap);
    seq->len += (size_t)len;
}

void seq_escape(struct seq_file *seq, const char *text, const char *escape)
{
    for (; *text; text++) {
        if (strchr(escape, *text))
            seq_printf(seq, "\\%03o", (unsigned char)*text);
        else
            seq_write(seq, text, 1);
    }
}

void seq_free(struct seq_file *seq)
{
    kfree(seq->buf);
    *seq = (struct seq_file){0};
}
