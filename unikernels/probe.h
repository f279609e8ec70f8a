/*
 * What the probes share: printing, and reading their arguments. A probe needs no
 * more than solo5.h, so that it compiles with Solo5's own toolchain too.
 */
#ifndef PROBE_H
#define PROBE_H

#include "solo5.h"

static inline size_t text_length(const char *s)
{
    size_t n = 0;

    while (s[n] != '\0')
        n++;
    return n;
}

static inline void print(const char *s)
{
    solo5_console_write(s, text_length(s));
}

static inline void print_number(uint64_t value, unsigned base)
{
    char digits[20];
    size_t at = sizeof digits;

    do {
        digits[--at] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value != 0);
    solo5_console_write(digits + at, sizeof digits - at);
}

static inline void print_signed(int64_t value)
{
    if (value < 0)
        print("-");
    print_number(value < 0 ? -(uint64_t)value : (uint64_t)value, 10);
}

/* "name=value\n": what the tests read. */
static inline void print_field(const char *name, uint64_t value)
{
    print(name);
    print("=");
    print_number(value, 10);
    print("\n");
}

/* The end of a probe whose promise was broken. */
static inline int fail(const char *what)
{
    print("FAIL: ");
    print(what);
    print("\n");
    return SOLO5_EXIT_FAILURE;
}

static inline int pass(void)
{
    print("PASS\n");
    return SOLO5_EXIT_SUCCESS;
}

static inline bool is_separator(char c)
{
    return c == ' ' || c == '\0';
}

/* The word at (*rest), moved behind it; its length in (*len), 0 at the end. Not NUL-terminated. */
static inline const char *next_word(const char **rest, size_t *len)
{
    const char *word = *rest;

    while (*word == ' ')
        word++;
    *len = 0;
    while (!is_separator(word[*len]))
        ++*len;
    *rest = word + *len;
    return word;
}

static inline bool word_is(const char *word, size_t len, const char *expected)
{
    for (size_t i = 0; i < len; i++)
        if (word[i] != expected[i])
            return false;
    return expected[len] == '\0';
}

/* True if the arguments begin with the word (expected). */
static inline bool mode_is(const char *cmdline, const char *expected)
{
    size_t len;
    const char *word = next_word(&cmdline, &len);

    return word_is(word, len, expected);
}

/* Decimal or 0x-hexadecimal, with an optional minus; false if it is no number. */
static inline bool parse_number(const char *word, size_t len, uint64_t *value)
{
    const bool negative = len > 0 && word[0] == '-';
    size_t i = negative;
    unsigned base = 10;

    if (len - i > 2 && word[i] == '0' && word[i + 1] == 'x') {
        base = 16;
        i += 2;
    }
    if (i == len)
        return false;
    *value = 0;
    for (; i < len; i++) {
        const char c = word[i];
        const unsigned digit = c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10 : (unsigned)(c - '0');

        if (digit >= base)
            return false;
        *value = *value * base + digit;
    }
    if (negative)
        *value = -*value;
    return true;
}

/* The next word as a number, or (otherwise) if there is none. */
static inline uint64_t number_or(const char **rest, uint64_t otherwise)
{
    size_t len;
    uint64_t value;
    const char *word = next_word(rest, &len);

    return parse_number(word, len, &value) ? value : otherwise;
}

#endif
