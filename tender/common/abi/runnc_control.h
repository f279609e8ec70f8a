/*
 * The control channel between the runtime and the Linux guest kernel: programs
 * beside the container's own one (`runnc exec`). docs/control.md tells who is at
 * which end and why.
 *
 * The channel is a pair of connected SOCK_SEQPACKET sockets, so that a message
 * is there whole or not at all, whoever is killed. A message is the structure
 * below and its data. Integers are little-endian. Neither end trusts the other's
 * lengths; a message that makes no sense is dropped.
 */
#ifndef RUNNC_ABI_CONTROL_H
#define RUNNC_ABI_CONTROL_H

#include <stdint.h>

#define RUNNC_CONTROL_VERSION 1u

struct runnc_control {
    uint16_t type;    /* enum runnc_control_type */
    uint16_t stream;  /* enum runnc_control_stream; 0 where the type has none */
    uint32_t value;   /* by type */
    /* Epoch (never 0) in the upper half, the session's number (from 1) in the lower; 0 there: no session. */
    uint64_t session;
    uint8_t data[];
};

#define RUNNC_CONTROL_DATA_MAX 32768u /* bytes of one message */
#define RUNNC_CONTROL_MESSAGE_MAX (RUNNC_CONTROL_DATA_MAX + sizeof(struct runnc_control))

enum runnc_control_type {
    /* Both ways; value: the version. From the host: a new epoch begins, all older sessions are hung up, everything
     * sent for them is void. The guest answers with the same epoch before anything else of it. */
    RUNNC_CONTROL_HELLO = 1,

    /* To the guest. */
    RUNNC_CONTROL_OPEN = 2,   /* the next part of a session's request; value 1: the last one */
    RUNNC_CONTROL_SIGNAL = 3, /* value: signal 1 to 64, to the session's process */
    RUNNC_CONTROL_RESIZE = 4, /* data: struct runnc_control_size */
    RUNNC_CONTROL_HANGUP = 5, /* nobody is there any more: the process is killed, nothing more is said of it */

    /* To the runtime. */
    RUNNC_CONTROL_STARTED = 6, /* value: the process's pid in the guest */
    RUNNC_CONTROL_FAILED = 7,  /* instead: value: errno, stream: enum runnc_control_stage. The session is over. */
    RUNNC_CONTROL_EXIT = 8,    /* value: status as wait(2) has it, all output was sent before. The session is over. */

    /* Both ways: data for standard input to the guest, of output and error from it. */
    RUNNC_CONTROL_DATA = 16,   /* uses up credit: its bytes and RUNNC_CONTROL_MESSAGE_COST */
    RUNNC_CONTROL_CLOSE = 17,  /* from the writing side: that was all; from the reading one: nobody reads it any more */
    RUNNC_CONTROL_CREDIT = 18, /* value: so much more may be sent */

};

enum runnc_control_stream {
    RUNNC_CONTROL_INPUT = 0,
    RUNNC_CONTROL_OUTPUT = 1, /* everything a terminal shows */
    RUNNC_CONTROL_ERROR = 2,
};
#define RUNNC_CONTROL_STREAMS 3u

/* What could not be done. */
enum runnc_control_stage {
    RUNNC_CONTROL_STAGE_SETUP = 0, /* memory, terminal */
    RUNNC_CONTROL_STAGE_CWD = 1,
    RUNNC_CONTROL_STAGE_PATH = 2,  /* in no folder of PATH */
    RUNNC_CONTROL_STAGE_EXEC = 3,
};

/* What each side may send of a stream before it is given more. A message's own cost keeps many small ones from filling
 * a socket's buffer, which counts more than their bytes. */
#define RUNNC_CONTROL_WINDOW 65536u
#define RUNNC_CONTROL_MESSAGE_COST 1024u

struct runnc_control_size {
    uint16_t rows, columns, xpixel, ypixel;
};

/*
 * A session's request: records as in runnc_boot_config.h, without a header, of
 * these types: ARG (at least one), ENV, CWD, CREDS, RLIMIT, FLAGS
 * (RUNNC_BOOT_NO_NEW_PRIVS and those below) and TTY, which asks for a terminal.
 */
#define RUNNC_CONTROL_REQUEST_MAX (4u << 20) /* bytes */

/*
 * Or one record alone of this type, a question to the kernel itself: no process is made. STARTED has the
 * value 0 then, the answer is what the session writes to its output, text as below, and the status of EXIT is 0.
 */
#define RUNNC_CONTROL_REC_ASK 256u /* struct runnc_control_ask */

struct runnc_control_ask {
    uint32_t what; /* enum runnc_control_question */
    uint32_t pad;
    uint64_t value; /* by question */
};

enum runnc_control_question {
    /* Lines of a name, a space and a decimal number: bytes, but for oom_kills and processes. */
    RUNNC_CONTROL_ASK_MEMORY = 1,
    /*
     * For each process a line of numbers and its command: pid, its parent's pid, uid, state letter, number of its terminal
     * as stat(2) has it (0: none), processor time in ms, age in ms, memory in KiB, threads, length of the command.
     * The command in so many bytes, each argument ended by a NUL, and a newline follow; a zombie's is its name in brackets.
     */
    RUNNC_CONTROL_ASK_PROCESSES = 2,
    /* Changes the limit of the guest's memory to so many bytes. EBUSY: more is in use, and nothing has changed. */
    RUNNC_CONTROL_ASK_MEMORY_LIMIT = 3,
};

#define RUNNC_CONTROL_COMMAND_MAX 4096u /* bytes of a command */

/* Standard descriptor n is /dev/null, and no bytes of it are sent: bit 16 + n of FLAGS. */
#define RUNNC_CONTROL_NULL_STREAM(n) (1u << (16u + (n)))

#endif
