#include "plan.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

struct reader {
    char *at, *end;
    bool bad;
};

static uint64_t get(struct reader *r, size_t bytes)
{
    uint64_t value = 0;
    if (r->bad || (size_t)(r->end - r->at) < bytes) {
        r->bad = true;
        return 0;
    }
    for (size_t i = 0; i < bytes; i++) value |= (uint64_t)(unsigned char)r->at[i] << (8 * i);
    r->at += bytes;
    return value;
}

static uint32_t get_u32(struct reader *r)
{
    return (uint32_t)get(r, 4);
}

static uint64_t get_u64(struct reader *r)
{
    return get(r, 8);
}

static bool get_bool(struct reader *r)
{
    return get_u32(r) != 0;
}

static int get_fd(struct reader *r)
{
    return (int)get_u32(r);
}

static char *get_string(struct reader *r)
{
    uint32_t length = get_u32(r);
    if (r->bad || (size_t)(r->end - r->at) <= length || r->at[length] != '\0') {
        r->bad = true;
        return "";
    }
    char *text = r->at;
    r->at += (size_t)length + 1;
    return text;
}

/* Room for a list. An element takes at least 4 bytes of the plan, which bounds the count. */
static void *get_list(struct reader *r, uint32_t *count, size_t element_bytes)
{
    *count = get_u32(r);
    if (*count > (size_t)(r->end - r->at) / 4) r->bad = true;
    if (r->bad) *count = 0;
    void *list = calloc((size_t)*count + 1, element_bytes);
    if (list == NULL) {
        r->bad = true;
        *count = 0;
    }
    return list;
}

static char **get_strings(struct reader *r)
{
    uint32_t count;
    char **list = get_list(r, &count, sizeof *list);
    for (uint32_t i = 0; i < count; i++) list[i] = get_string(r);
    return list;
}

static struct plan_hook *get_hooks(struct reader *r, uint32_t *count)
{
    struct plan_hook *hooks = get_list(r, count, sizeof *hooks);
    for (uint32_t i = 0; i < *count; i++) {
        hooks[i].path = get_string(r);
        hooks[i].argv = get_strings(r);
        hooks[i].environment = get_strings(r);
        hooks[i].timeout_ms = get_u32(r);
    }
    return hooks;
}

static bool map(struct reader *r, int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || st.st_size <= 0) return false;
    char *bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED) return false;
    *r = (struct reader){bytes, bytes + st.st_size, false};
    return true;
}

bool plan_read_tender(struct plan *plan, int fd)
{
    struct reader reader, *r = &reader;
    if (!map(r, fd)) return false;
    plan->argv = get_strings(r);
    return !r->bad && r->at == r->end;
}

bool plan_read(struct plan *plan, int fd)
{
    struct reader reader, *r = &reader;
    if (!map(r, fd)) return false;

    if (get_u32(r) != PLAN_MAGIC || get_u32(r) != PLAN_VERSION) return false;
    plan->tender_fds = get_u32(r);
    plan->executable_fd = get_fd(r);
    plan->sync_fd = get_fd(r);
    plan->start_fd = get_fd(r);
    plan->rootfs_fd = get_fd(r);
    plan->rootfs_path = get_string(r);
    plan->argv = get_strings(r);
    plan->reopen_stdio = get_bool(r);

    plan->has_terminal = get_bool(r);
    if (plan->has_terminal) {
        plan->console_fd = get_fd(r);
        plan->columns = get_u32(r);
        plan->rows = get_u32(r);
        plan->raw = get_bool(r);
    }

    plan->cgroup_tasks = get_list(r, &plan->n_cgroup_tasks, sizeof *plan->cgroup_tasks);
    for (uint32_t i = 0; i < plan->n_cgroup_tasks; i++) plan->cgroup_tasks[i] = get_u32(r);
    plan->has_cgroup_clone = get_bool(r);
    if (plan->has_cgroup_clone) plan->cgroup_clone_fd = get_fd(r);

    plan->new_namespaces = get_u32(r);
    plan->joins = get_list(r, &plan->n_joins, sizeof *plan->joins);
    for (uint32_t i = 0; i < plan->n_joins; i++) {
        plan->joins[i].flag = get_u32(r);
        plan->joins[i].fd = get_fd(r);
    }
    plan->time_offsets = get_list(r, &plan->n_time_offsets, sizeof *plan->time_offsets);
    for (uint32_t i = 0; i < plan->n_time_offsets; i++) {
        plan->time_offsets[i].boottime = get_bool(r);
        plan->time_offsets[i].seconds = (int64_t)get_u64(r);
        plan->time_offsets[i].nanoseconds = get_u32(r);
    }
    if (get_bool(r)) plan->hostname = get_string(r);
    if (get_bool(r)) plan->domainname = get_string(r);
    plan->sysctls = get_list(r, &plan->n_sysctls, sizeof *plan->sysctls);
    for (uint32_t i = 0; i < plan->n_sysctls; i++) {
        plan->sysctls[i].path = get_string(r);
        plan->sysctls[i].value = get_string(r);
    }

    plan->create_hooks = get_hooks(r, &plan->n_create_hooks);
    plan->start_hooks = get_hooks(r, &plan->n_start_hooks);
    plan->hook_uid = get_u32(r);
    plan->hook_gid = get_u32(r);
    plan->hook_gids = get_list(r, &plan->n_hook_gids, sizeof *plan->hook_gids);
    for (uint32_t i = 0; i < plan->n_hook_gids; i++) plan->hook_gids[i] = get_u32(r);
    plan->hook_capabilities = get_u64(r);
    plan->hook_umask = get_u32(r);

    plan->served = get_list(r, &plan->n_served, sizeof *plan->served);
    for (uint32_t i = 0; i < plan->n_served; i++) {
        plan->served[i].fd = get_fd(r);
        plan->served[i].path = get_string(r);
        plan->served[i].recursive = get_bool(r);
        plan->served[i].readonly = get_bool(r);
        plan->served[i].noatime = get_bool(r);
    }
    if (plan->n_served > 0) {
        plan->server_fd = get_fd(r);
        plan->channel_fd = get_fd(r);
        plan->window_fd = get_fd(r);
        plan->pipe_fds = get_list(r, &plan->n_pipes, sizeof *plan->pipe_fds);
        for (uint32_t i = 0; i < plan->n_pipes; i++) plan->pipe_fds[i] = get_fd(r);
        plan->server_on_demand = get_bool(r);
    }

    plan->has_oom_score_adj = get_bool(r);
    if (plan->has_oom_score_adj) plan->oom_score_adj = (int32_t)get_u32(r);
    plan->rlimits = get_list(r, &plan->n_rlimits, sizeof *plan->rlimits);
    for (uint32_t i = 0; i < plan->n_rlimits; i++) {
        plan->rlimits[i].resource = get_u32(r);
        plan->rlimits[i].soft = get_u64(r);
        plan->rlimits[i].hard = get_u64(r);
    }
    plan->has_scheduler = get_bool(r);
    if (plan->has_scheduler) {
        plan->sched_policy = get_u32(r);
        plan->sched_flags = get_u64(r);
        plan->sched_nice = (int32_t)get_u32(r);
        plan->sched_priority = get_u32(r);
        plan->sched_runtime_ns = get_u64(r);
        plan->sched_deadline_ns = get_u64(r);
        plan->sched_period_ns = get_u64(r);
    }
    plan->has_io_priority = get_bool(r);
    if (plan->has_io_priority) plan->io_priority = get_u32(r);
    plan->new_keyring = get_bool(r);
    plan->jail_uid = get_u32(r);
    plan->jail_gid = get_u32(r);
    plan->no_pivot = get_bool(r);

    plan->fault_step = get_u32(r);
    plan->fault_is_runtime = get_bool(r);
    return !r->bad && r->at == r->end;
}
