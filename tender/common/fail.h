/*
 * How the tender gives up: one line on standard error that says what is wrong,
 * where, and how to mend it, then exit status 1.
 *
 * Only for use before the jump into the guest. Nothing needs undoing: whatever
 * the process holds goes with it.
 */
#ifndef RUNNC_FAIL_H
#define RUNNC_FAIL_H

/* Prints "tender-spt: MESSAGE". Control characters in the message (it may quote
 * hostile input) are printed as '?'. */
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same with ": " and the text of errno behind. */
_Noreturn void fail_errno(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* One line, but the tender goes on. */
void warn_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
