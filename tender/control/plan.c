#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "control.h"

#define PLAN_MAGIC 0x45584352u /* "RCXE" */
#define PLAN_VERSION 1u

enum {
    PLAN_DROP_IDS = 1u << 0,
    PLAN_TERMINAL = 1u << 1,
};

/* As it lies in the sealed memfd, the request behind it. */
struct plan_head {
    uint32_t magic, version, flags;
    uint32_t uid, gid;
    uint32_t task_fds;
    struct runnc_control_size window;
};

bool plan_read(struct plan *plan)
{
    struct stat st;

    if (fstat(PLAN_FD, &st) != 0 || st.st_size < (off_t)sizeof(struct plan_head)) return false;
    const struct plan_head *head = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, PLAN_FD, 0);
    if (head == MAP_FAILED || head->magic != PLAN_MAGIC || head->version != PLAN_VERSION) return false;
    *plan = (struct plan){
        .drop_ids = head->flags & PLAN_DROP_IDS,
        .uid = head->uid,
        .gid = head->gid,
        .terminal = head->flags & PLAN_TERMINAL,
        .window = head->window,
        .task_fds = head->task_fds,
        .request = head + 1,
        .request_size = (size_t)st.st_size - sizeof *head,
    };
    return true;
}
