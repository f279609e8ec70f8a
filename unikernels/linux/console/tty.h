/*
 * A terminal's line discipline (termios(3)): what is typed becomes input for
 * readers, echo for the screen and signals for the foreground; what is written
 * becomes output. Knows nothing of where the bytes come from and go to.
 */
#ifndef LINUX_CONSOLE_TTY_H
#define LINUX_CONSOLE_TTY_H

#include <asm/termbits.h>
#include <asm/termios.h>

#include "fs/vfs.h"

#define TTY_INPUT_MAX 4096u

struct tty {
    struct termios termios;
    struct winsize winsize;
    /* Typed and not yet read: a character in the low 8 bits, and marks. A ring; counters run on. */
    uint16_t input[TTY_INPUT_MAX];
    uint32_t head, tail;
    uint32_t editable; /* from here to the tail the line is not finished */
    uint32_t column;   /* of the cursor, for tabs and erasing */
    bool literal;      /* VLNEXT: the next character means itself */
    bool stopped;      /* by VSTOP */
    bool hung_up;
    int foreground;    /* process group; 0: init's */
    int session;
    struct wait_queue read_wait, write_wait;
    /* Writes to the screen: bytes taken, EAGAIN if none can be now. */
    ssize_t (*output)(struct tty *tty, const char *bytes, size_t n);
    /* Sleeps until output may go on: 0 or negative errno. */
    int (*output_wait)(struct tty *tty);
    /* The window's size, from whoever has it. */
    void (*get_winsize)(struct tty *tty, struct winsize *size);
};

void tty_init(struct tty *tty);
/* Bytes that were typed. */
void tty_receive(struct tty *tty, const char *bytes, size_t n);
void tty_hangup(struct tty *tty);

int64_t tty_read(struct tty *tty, struct iov_iter *to, bool nonblock);
int64_t tty_write(struct tty *tty, struct iov_iter *from, bool nonblock);
uint32_t tty_poll(struct tty *tty, struct poll_table *table);
int64_t tty_ioctl(struct tty *tty, uint32_t cmd, uint64_t arg);

#endif
