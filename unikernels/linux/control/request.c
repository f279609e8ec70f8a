#include "control/request.h"

#include "lib/error.h"
#include "lib/string.h"
#include "mm/kmalloc.h"
#include "mm/page.h"

int request_add(struct request *r, const void *data, size_t size)
{
    if (size > RUNNC_CONTROL_REQUEST_MAX - r->size) return -E2BIG;
    if (r->size + size > r->capacity) {
        size_t capacity = MAX(r->size + size, r->capacity * 2);
        char *bytes = krealloc(r->bytes, capacity);
        if (!bytes) return -ENOMEM;
        r->bytes = bytes;
        r->capacity = capacity;
    }
    memcpy(r->bytes + r->size, data, size);
    r->size += size;
    return 0;
}

void request_free(struct request *r)
{
    kfree(r->bytes);
    *r = (struct request){0};
}

static size_t span(const struct runnc_record *record)
{
    return sizeof *record + ALIGN_UP((size_t)record->len, 8);
}

const struct runnc_record *request_next(const struct request *r, uint32_t type, const struct runnc_record *after)
{
    const char *at = after ? (const char *)after + span(after) : r->bytes;

    for (; at < r->bytes + r->size; at += span((const struct runnc_record *)at))
        if (((const struct runnc_record *)at)->type == type) return (const struct runnc_record *)at;
    return NULL;
}

/* One string, ended by a NUL. */
static bool is_string(const struct runnc_record *record)
{
    return record->len && memchr(record->data, 0, record->len) == record->data + record->len - 1;
}

static bool is_creds(const struct runnc_record *record)
{
    const struct runnc_rec_creds *creds = (const struct runnc_rec_creds *)record->data;

    return record->len >= sizeof *creds && creds->ngroups <= 65536 &&
           record->len == sizeof *creds + creds->ngroups * sizeof creds->groups[0];
}

static bool take_record(struct request *r, const struct runnc_record *record)
{
    switch (record->type) {
    case RUNNC_REC_ARG:
    case RUNNC_REC_ENV: return is_string(record);
    case RUNNC_REC_CWD:
        r->cwd = (const char *)record->data;
        return is_string(record);
    case RUNNC_REC_CREDS:
        r->creds = (const struct runnc_rec_creds *)record->data;
        return is_creds(record);
    case RUNNC_REC_RLIMIT: return record->len == sizeof(struct runnc_rec_rlimit);
    case RUNNC_REC_TTY:
        r->tty = (const struct runnc_rec_tty *)record->data;
        return record->len == sizeof(struct runnc_rec_tty);
    case RUNNC_REC_FLAGS:
        if (record->len != sizeof r->flags) return false;
        memcpy(&r->flags, record->data, sizeof r->flags);
        return true;
    case RUNNC_CONTROL_REC_ASK:
        r->ask = (const struct runnc_control_ask *)record->data;
        return record->len == sizeof *r->ask && record->data - sizeof *record == (const uint8_t *)r->bytes &&
               r->size == span(record);
    default: return false;
    }
}

int request_check(struct request *r)
{
    for (size_t at = 0; at < r->size;) {
        const struct runnc_record *record = (const struct runnc_record *)(r->bytes + at);
        size_t left = r->size - at;
        if (left < sizeof *record || record->len > left - sizeof *record || span(record) > left) return -EINVAL;
        if (!take_record(r, record)) return -EINVAL;
        at += span(record);
    }
    if (r->ask) return 0;
    return r->cwd && r->creds && request_next(r, RUNNC_REC_ARG, NULL) ? 0 : -EINVAL;
}
