/* Text that is put together piece by piece, for the files of /proc and /sys. */
#ifndef LINUX_FS_SEQ_FILE_H
#define LINUX_FS_SEQ_FILE_H

#include "lib/print.h"

struct seq_file {
    char *buf;
    size_t len, size;
    bool made;   /* it holds the whole text */
    bool failed; /* out of memory: what was put in since is lost */
};

void seq_printf(struct seq_file *seq, const char *fmt, ...) PRINTF_LIKE(2, 3);
void seq_write(struct seq_file *seq, const void *data, size_t len);
void seq_puts(struct seq_file *seq, const char *text);
/* A path or name as in /proc/mounts and maps: the characters in `escape` as \ooo. */
void seq_escape(struct seq_file *seq, const char *text, const char *escape);
void seq_free(struct seq_file *seq);

#endif
