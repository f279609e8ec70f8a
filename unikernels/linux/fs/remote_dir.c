/* Listings of remote folders: many entries with each request, in the host's own format and positions. */
#include <linux/fcntl.h>

#include "fs/remote.h"
#include "lib/string.h"
#include "mm/kmalloc.h"

#define ENTRIES_BYTES (32u << 10)
#define ENTRY_HEAD 19u /* struct linux_dirent64 before its name: ino, next, length, type */

/* Entries behind `position` into memory. */
static int fetch(struct remote_file *rf, uint64_t position)
{
    remote_request request = remote_request_new(FILES_READDIR, rf->fid);
    remote_reply reply;
    struct window w;

    if (!rf->entries)
        rf->entries = kmalloc(ENTRIES_BYTES);
    if (!rf->entries)
        return -ENOMEM;
    if (!window_take(&w, ENTRIES_BYTES))
        return -EIO;
    request.offset = position;
    request.window = window_offset(&w);
    request.size = ENTRIES_BYTES;
    int err = rpc_call(&request, NULL, NULL, &reply);
    rf->entries_at = rf->entries_len = 0;
    if (!err) {
        rf->entries_len = MIN(reply.value, ENTRIES_BYTES);
        memcpy(rf->entries, window_data(&w), rf->entries_len);
        rf->position = position;
    }
    window_give(&w);
    return err;
}

static bool is_dotdot(const char *name, size_t len)
{
    return len == 2 && name[0] == '.' && name[1] == '.';
}

/* The entry at hand goes to ctx. 1: on with the next, 0: full; EIO: it is none. */
static int emit(struct file *file, struct remote_file *rf, struct dir_context *ctx)
{
    const uint8_t *entry = rf->entries + rf->entries_at;
    size_t left = rf->entries_len - rf->entries_at;
    uint64_t ino, next;
    uint16_t len;

    if (left < ENTRY_HEAD + 1)
        return -EIO;
    memcpy(&ino, entry, 8);
    memcpy(&next, entry + 8, 8);
    memcpy(&len, entry + 16, 2);
    if (len < ENTRY_HEAD + 1 || len > left)
        return -EIO;
    const char *name = (const char *)entry + ENTRY_HEAD;
    size_t name_len = strnlen(name, len - ENTRY_HEAD);
    if (!name_len || name_len > NAME_MAX)
        return -EIO;
    /* What is above the mount is not the guest's. */
    if (is_dotdot(name, name_len))
        ino = d_parent_across(file->f_dentry)->d_inode->i_ino;
    if (!ctx->actor(ctx, name, (uint32_t)name_len, next, ino, entry[18]))
        return 0;
    rf->entries_at += len;
    rf->position = ctx->pos = next;
    return 1;
}

static int remote_readdir(struct file *file, struct dir_context *ctx)
{
    struct remote_file *rf = remote_file(file);
    int more = 1;

    /* From the beginning, or from elsewhere than where the last one ended: what is there is old. */
    if (ctx->pos == 0 || ctx->pos != rf->position)
        rf->entries_at = rf->entries_len = 0;
    while (more == 1) {
        if (rf->entries_at == rf->entries_len) {
            int err = fetch(rf, ctx->pos);
            if (err)
                return err;
            if (!rf->entries_len)
                return 0;
        }
        more = emit(file, rf, ctx);
    }
    return more < 0 ? more : 0;
}

const struct file_operations remote_dir_operations = {
    .open = remote_open,
    .release = remote_release,
    .llseek = dir_llseek,
    .readdir = remote_readdir,
    .fsync = remote_fsync,
};
