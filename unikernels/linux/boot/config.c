#include "boot/config.h"

#include <linux/oom.h>

#include "boot/host.h"
#include "lib/print.h"
#include "lib/string.h"
#include "mm/kmalloc.h"

#define BAD_CONFIG_STATUS 126

struct boot_config boot_config;

static const struct runnc_boot_config *blob;

static NORETURN void bad(const char *what, uint32_t type)
{
    fatal(BAD_CONFIG_STATUS, "boot config: %s (record type %u)", what, type);
}

static size_t record_span(const struct runnc_record *r)
{
    return sizeof *r + ALIGN_UP((size_t)r->len, 8);
}

static const struct runnc_record *first_record(void)
{
    return (const struct runnc_record *)(blob + 1);
}

static const struct runnc_record *following(const struct runnc_record *r)
{
    return (const struct runnc_record *)((const char *)r + record_span(r));
}

const struct runnc_record *boot_record_next(uint32_t type, const struct runnc_record *after)
{
    const char *end = (const char *)blob + blob->size;
    const struct runnc_record *r = after ? following(after) : first_record();

    for (; (const char *)r < end; r = following(r))
        if (type == RUNNC_REC_ANY || r->type == type) return r;
    return NULL;
}

/* The data is `count` strings, each ended by a NUL, and nothing else. */
static void check_strings(const struct runnc_record *r, size_t skip, unsigned count)
{
    unsigned found = 0;

    if (r->len < skip) bad("too short", r->type);
    for (size_t i = skip; i < r->len; i++) found += !r->data[i];
    if (found != count || !r->len || r->data[r->len - 1]) bad("not made of terminated strings", r->type);
}

static void check_file(const struct runnc_record *r)
{
    const struct runnc_rec_file *f = (const struct runnc_rec_file *)r->data;
    size_t head = offsetof(struct runnc_rec_file, path);

    if (r->len < head || !f->path_len || f->path_len > r->len - head || f->size != r->len - head - f->path_len ||
        f->path[f->path_len - 1] || f->path[0] != '/')
        bad("not a path and its content", r->type);
}

static void check_layer(const struct runnc_record *r)
{
    const struct runnc_rec_layer *l = (const struct runnc_rec_layer *)r->data;
    size_t head = offsetof(struct runnc_rec_layer, path);

    if (r->len < head || !l->path_len || l->path_len > r->len - head || l->size != r->len - head - l->path_len ||
        l->path[l->path_len - 1] || l->path[0] != '/' || l->type < RUNNC_LAYER_FILE || l->type > RUNNC_LAYER_SERVED)
        bad("not a layer's entry", r->type);
    bool has_target = l->type == RUNNC_LAYER_SYMLINK || l->type == RUNNC_LAYER_HARDLINK;
    if (has_target && (!l->size || l->path[l->path_len + l->size - 1])) bad("a link without its target", r->type);
}

/* A record of the network: its size, and its family if it has one. */
static void check_network(const struct runnc_record *r, size_t size, const uint8_t *family)
{
    if (r->len != size) bad("of the wrong size", r->type);
    if (family && *family != 2 && *family != 10) bad("neither IPv4 nor IPv6", r->type);
}

static void check_oom_score_adj(const struct runnc_record *r)
{
    int32_t value;

    if (r->len != sizeof value) bad("of the wrong size", r->type);
    memcpy(&value, r->data, sizeof value);
    if (value < OOM_SCORE_ADJ_MIN || value > OOM_SCORE_ADJ_MAX) bad("out of range", r->type);
}

static void check_record(const struct runnc_record *r)
{
    switch (r->type) {
    case RUNNC_REC_ARG:
    case RUNNC_REC_ENV:
    case RUNNC_REC_CWD:
    case RUNNC_REC_EXE:
    case RUNNC_REC_HOSTNAME:
    case RUNNC_REC_DOMAINNAME: check_strings(r, 0, 1); break;
    case RUNNC_REC_SYSCTL: check_strings(r, 0, 2); break;
    case RUNNC_REC_MOUNT: check_strings(r, offsetof(struct runnc_rec_mount, strings), 3); break;
    case RUNNC_REC_FILE: check_file(r); break;
    case RUNNC_REC_LAYER: check_layer(r); break;
    case RUNNC_REC_CREDS: {
        const struct runnc_rec_creds *c = (const struct runnc_rec_creds *)r->data;
        if (r->len < sizeof *c || c->ngroups > 65536 || r->len != sizeof *c + c->ngroups * 4ul)
            bad("of the wrong size", r->type);
        break;
    }
    case RUNNC_REC_RLIMIT:
        if (r->len != sizeof(struct runnc_rec_rlimit)) bad("of the wrong size", r->type);
        break;
    case RUNNC_REC_MEMORY:
        if (r->len != sizeof(struct runnc_rec_memory)) bad("of the wrong size", r->type);
        break;
    case RUNNC_REC_TTY:
        if (r->len != sizeof(struct runnc_rec_tty)) bad("of the wrong size", r->type);
        break;
    case RUNNC_REC_FLAGS:
        if (r->len != sizeof(uint32_t)) bad("of the wrong size", r->type);
        break;
    case RUNNC_REC_NETDEV: check_network(r, sizeof(struct runnc_rec_netdev), NULL); break;
    case RUNNC_REC_NETADDR:
        check_network(r, sizeof(struct runnc_rec_netaddr), &((const struct runnc_rec_netaddr *)r->data)->family);
        break;
    case RUNNC_REC_NETROUTE:
        check_network(r, sizeof(struct runnc_rec_netroute), &((const struct runnc_rec_netroute *)r->data)->family);
        break;
    case RUNNC_REC_NETNEIGH:
        check_network(r, sizeof(struct runnc_rec_netneigh), &((const struct runnc_rec_netneigh *)r->data)->family);
        break;
    case RUNNC_REC_NETRESOLVER: check_network(r, sizeof(struct runnc_rec_netresolver), NULL); break;
    case RUNNC_REC_OOM_SCORE_ADJ: check_oom_score_adj(r); break;
    default: bad("unknown", r->type);
    }
}

static void check_blob(uint64_t size)
{
    if (size < sizeof *blob || blob->magic != RUNNC_BOOT_CONFIG_MAGIC)
        fatal(BAD_CONFIG_STATUS, "the boot config is none");
    if (blob->version != RUNNC_BOOT_CONFIG_VERSION)
        fatal(BAD_CONFIG_STATUS, "boot config: version %u is not %u", blob->version, RUNNC_BOOT_CONFIG_VERSION);
    if (blob->size > size || blob->size < sizeof *blob || blob->size % 8)
        fatal(BAD_CONFIG_STATUS, "boot config: %lu bytes do not fit", (unsigned long)blob->size);

    uint64_t left = blob->size - sizeof *blob;
    uint32_t records = 0;
    for (const struct runnc_record *r = first_record(); left; r = following(r)) {
        if (left < sizeof *r || r->len > left - sizeof *r || record_span(r) > left)
            fatal(BAD_CONFIG_STATUS, "boot config: record %u goes beyond the end", records);
        check_record(r);
        left -= record_span(r);
        records++;
    }
    if (records != blob->records) fatal(BAD_CONFIG_STATUS, "boot config: %u records, not %u", records, blob->records);
}

static const char **collect(uint32_t type, size_t *count)
{
    size_t n = 0;

    for (const struct runnc_record *r = NULL; (r = boot_record_next(type, r));) n++;
    const char **list = kmalloc((n + 1) * sizeof *list);
    if (!list) fatal(BAD_CONFIG_STATUS, "no memory for %zu arguments", n);
    *count = n;
    n = 0;
    for (const struct runnc_record *r = NULL; (r = boot_record_next(type, r));) list[n++] = (const char *)r->data;
    list[n] = NULL;
    return list;
}

static const char *text(uint32_t type, const char *otherwise)
{
    const struct runnc_record *r = boot_record_next(type, NULL);

    return r ? (const char *)r->data : otherwise;
}

const char *boot_sysctl(const char *name)
{
    const struct runnc_record *record = NULL;
    const char *value = NULL;

    while ((record = boot_record_next(RUNNC_REC_SYSCTL, record))) {
        const char *given = (const char *)record->data;
        if (strcmp(given, name) == 0) value = given + strlen(given) + 1;
    }
    return value;
}

void boot_config_open(void)
{
    const struct runnc_boot_info *info = host_boot_info();

    blob = (const struct runnc_boot_config *)info->config;
    if (!blob) fatal(BAD_CONFIG_STATUS, "no boot config: give --boot-config");
    check_blob(info->config_size);

    const struct runnc_record *r = boot_record_next(RUNNC_REC_MEMORY, NULL);
    if (r) boot_config.memory_limit = ((const struct runnc_rec_memory *)r->data)->limit;
    r = boot_record_next(RUNNC_REC_CREDS, NULL);
    if (!r) fatal(BAD_CONFIG_STATUS, "boot config: no credentials");
    boot_config.creds = (const struct runnc_rec_creds *)r->data;
    r = boot_record_next(RUNNC_REC_TTY, NULL);
    if (r) boot_config.tty = (const struct runnc_rec_tty *)r->data;
    r = boot_record_next(RUNNC_REC_FLAGS, NULL);
    if (r) memcpy(&boot_config.flags, r->data, sizeof boot_config.flags);
    r = boot_record_next(RUNNC_REC_OOM_SCORE_ADJ, NULL);
    if (r) memcpy(&boot_config.oom_score_adj, r->data, sizeof boot_config.oom_score_adj);
    boot_config.cwd = text(RUNNC_REC_CWD, "/");
    boot_config.exe = text(RUNNC_REC_EXE, NULL);
    boot_config.hostname = text(RUNNC_REC_HOSTNAME, "runnc");
    boot_config.domainname = text(RUNNC_REC_DOMAINNAME, "(none)");
    if (!boot_config.exe) fatal(BAD_CONFIG_STATUS, "boot config: no program");
}

void boot_config_lists(void)
{
    boot_config.argv = collect(RUNNC_REC_ARG, &boot_config.argc);
    boot_config.envp = collect(RUNNC_REC_ENV, &boot_config.envc);
}
