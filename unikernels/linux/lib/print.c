#include "lib/print.h"

#include "boot/host.h"
#include "lib/string.h"

#define LINE_MAX_BYTES 512
#define PANIC_STATUS 255

struct out {
    char *buf;
    size_t size, len;
};

struct spec {
    bool left, zero, alt, plus;
    int width, precision;
    int length; /* bytes of the integer argument */
};

static void put(struct out *o, char c)
{
    if (o->len + 1 < o->size) o->buf[o->len] = c;
    o->len++;
}

static void pad(struct out *o, char c, int n)
{
    while (n-- > 0) put(o, c);
}

static void put_text(struct out *o, const struct spec *s, const char *text, int len)
{
    if (!s->left) pad(o, ' ', s->width - len);
    for (int i = 0; i < len; i++) put(o, text[i]);
    if (s->left) pad(o, ' ', s->width - len);
}

static void put_number(struct out *o, const struct spec *s, uint64_t v, unsigned base, bool upper, bool negative)
{
    const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    char tmp[24], prefix[3];
    int n = 0, np = 0;

    if (negative)
        prefix[np++] = '-';
    else if (s->plus)
        prefix[np++] = '+';
    if (s->alt && v && base == 16) {
        prefix[np++] = '0';
        prefix[np++] = upper ? 'X' : 'x';
    }
    do {
        tmp[n++] = digits[v % base];
        v /= base;
    } while (v);
    if (s->alt && base == 8 && tmp[n - 1] != '0') tmp[n++] = '0';

    int zeros = s->precision > n ? s->precision - n : 0;
    if (s->zero && !s->left && s->precision < 0 && s->width > np + n) zeros = s->width - np - n;
    int spaces = s->width - np - zeros - n;

    if (!s->left) pad(o, ' ', spaces);
    for (int i = 0; i < np; i++) put(o, prefix[i]);
    pad(o, '0', zeros);
    while (n) put(o, tmp[--n]);
    if (s->left) pad(o, ' ', spaces);
}

static uint64_t next_unsigned(va_list *ap, int length)
{
    uint64_t v = length == 8 ? va_arg(*ap, unsigned long) : va_arg(*ap, unsigned int);

    return length == 1 ? (uint8_t)v : length == 2 ? (uint16_t)v : v;
}

static int64_t next_signed(va_list *ap, int length)
{
    int64_t v = length == 8 ? va_arg(*ap, long) : va_arg(*ap, int);

    return length == 1 ? (int8_t)v : length == 2 ? (int16_t)v : v;
}

static const char *parse_spec(const char *f, struct spec *s, va_list *ap)
{
    *s = (struct spec){.precision = -1, .length = 4};
    for (;; f++) {
        if (*f == '-')
            s->left = true;
        else if (*f == '0')
            s->zero = true;
        else if (*f == '#')
            s->alt = true;
        else if (*f == '+')
            s->plus = true;
        else
            break;
    }
    if (*f == '*') {
        s->width = va_arg(*ap, int);
        f++;
    }
    for (; *f >= '0' && *f <= '9'; f++) s->width = s->width * 10 + *f - '0';
    if (*f == '.') {
        s->precision = 0;
        f++;
        if (*f == '*') {
            s->precision = va_arg(*ap, int);
            f++;
        }
        for (; *f >= '0' && *f <= '9'; f++) s->precision = s->precision * 10 + *f - '0';
    }
    if (*f == 'l' || *f == 'z') {
        s->length = 8;
        f += f[1] == 'l' ? 2 : 1;
    } else if (*f == 'h') {
        s->length = f[1] == 'h' ? 1 : 2;
        f += f[1] == 'h' ? 2 : 1;
    }
    return f;
}

int vsnprintf(char *buf, size_t size, const char *fmt, va_list args)
{
    struct out o = {.buf = buf, .size = size};
    struct spec s;
    va_list ap;

    va_copy(ap, args);
    for (; *fmt; fmt++) {
        if (*fmt != '%') {
            put(&o, *fmt);
            continue;
        }
        fmt = parse_spec(fmt + 1, &s, &ap);
        switch (*fmt) {
        case 'd':
        case 'i': {
            int64_t v = next_signed(&ap, s.length);
            put_number(&o, &s, v < 0 ? -(uint64_t)v : (uint64_t)v, 10, false, v < 0);
            break;
        }
        case 'u': put_number(&o, &s, next_unsigned(&ap, s.length), 10, false, false); break;
        case 'x': put_number(&o, &s, next_unsigned(&ap, s.length), 16, false, false); break;
        case 'X': put_number(&o, &s, next_unsigned(&ap, s.length), 16, true, false); break;
        case 'o': put_number(&o, &s, next_unsigned(&ap, s.length), 8, false, false); break;
        case 'p':
            s.alt = true;
            put_number(&o, &s, (uintptr_t)va_arg(ap, void *), 16, false, false);
            break;
        case 'c': {
            char c = (char)va_arg(ap, int);
            put_text(&o, &s, &c, 1);
            break;
        }
        case 's': {
            const char *text = va_arg(ap, const char *);
            if (!text) text = "(null)";
            put_text(&o, &s, text, (int)strnlen(text, s.precision < 0 ? LINE_MAX_BYTES * 64 : (size_t)s.precision));
            break;
        }
        case '%': put(&o, '%'); break;
        default: /* an unknown conversion is a bug: show it */
            put(&o, '%');
            fmt--;
            break;
        }
    }
    va_end(ap);
    if (size) buf[MIN(o.len, size - 1)] = 0;
    return (int)o.len;
}

int snprintf(char *buf, size_t size, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(buf, size, fmt, ap);
    va_end(ap);
    return n;
}

static void log_line(const char *prefix, const char *fmt, va_list ap)
{
    char line[LINE_MAX_BYTES];
    size_t n = strlcpy(line, prefix, sizeof line);

    n += (size_t)vsnprintf(line + n, sizeof line - n - 1, fmt, ap);
    n = MIN(n, sizeof line - 2);
    line[n++] = '\n';
    host_log(line, n);
}

void klog(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    log_line("linux: ", fmt, ap);
    va_end(ap);
}

void panic(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    log_line("linux: kernel panic: ", fmt, ap);
    va_end(ap);
    host_exit(PANIC_STATUS);
}

void fatal(int status, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    log_line("linux: ", fmt, ap);
    va_end(ap);
    host_exit(status);
}
