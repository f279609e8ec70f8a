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
    bool hung_up;      /* for good: nobody is at the other end any more */
    int foreground;    /* process group; 0: none */
    int session;       /* whose controlling terminal it is; 0: nobody's */
    uint64_t number;   /* of the device, as stat(2) encodes it */
    struct list all_link;
    uint32_t files;      /* open, and not hung up */
    uint64_t hangups;    /* files opened before the last of them are dead */
    struct wait_queue read_wait, write_wait;
    /* Writes to the screen: bytes taken, EAGAIN if none can be now. */
    ssize_t (*output)(struct tty *tty, const char *bytes, size_t n);
    /* Sleeps until output may go on: 0 or negative errno. */
    int (*output_wait)(struct tty *tty);
    /* Output would be taken now. NULL: it always is. */
    bool (*output_ready)(struct tty *tty);
    /* The window's size, from whoever has it. NULL: `winsize` is it. */
    void (*get_winsize)(struct tty *tty, struct winsize *size);
    /* A reader has made room for more input. NULL: nobody waits for that. */
    void (*input_taken)(struct tty *tty);
    /* TIOCPKT_* bits of something that packet mode tells. NULL: nobody listens. */
    void (*notify)(struct tty *tty, uint32_t what);
    /* The first file is opened, the last one closed. NULL: nothing to do. */
    void (*opened)(struct tty *tty), (*closed)(struct tty *tty);
    /* A file more or less refers to it, hung up or not. NULL: it is there for ever. */
    void (*get)(struct tty *tty), (*put)(struct tty *tty);
};

void tty_init(struct tty *tty, uint64_t number);
/* It is going away: no session has it any more. */
void tty_remove(struct tty *tty);
/* Makes file an open file of this terminal; it becomes the session's unless O_NOCTTY (file->f_noctty). */
void tty_open(struct tty *tty, struct file *file);
extern const struct file_operations tty_operations;

/* Bytes that were typed. */
void tty_receive(struct tty *tty, const char *bytes, size_t n);
/* How many bytes would not be lost now. */
size_t tty_receive_room(const struct tty *tty);
/* The window is as large as this now: SIGWINCH to the foreground if that is new. */
void tty_resize(struct tty *tty, const struct winsize *size);
/* For good: SIGHUP and SIGCONT to the session. */
void tty_hangup(struct tty *tty);
/* from_master: by the other end of a pty, which need not have it as its terminal. */
int64_t tty_ioctl(struct tty *tty, uint32_t cmd, uint64_t arg, bool from_master);

/* The controlling terminal of a session; NULL: it has none. */
struct tty *tty_of_session(int sid);
/* The leader of a session is gone: its terminal is hung up, and nobody's. */
void tty_session_ended(int sid);

#endif
