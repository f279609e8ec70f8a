/* Control messages (cmsg(3)): headers of 16 bytes, data behind them, each begun at a multiple of 8. */
#include "lib/error.h"
#include "mm/uaccess.h"
#include "net/socket.h"
#include "lib/string.h"

struct header {
    uint64_t len; /* of header and data */
    int32_t level, type;
};

int cmsg_next(const struct socket_message *msg, size_t *at, struct cmsg *cmsg)
{
    struct header header;
    size_t left = msg->control_len - MIN(*at, msg->control_len);

    if (left < sizeof(header))
        return 0;
    memcpy(&header, msg->control + *at, sizeof(header));
    if (header.len < sizeof(header) || header.len > left)
        return -EINVAL;
    *cmsg = (struct cmsg){.level = header.level,
                          .type = header.type,
                          .data = msg->control + *at + sizeof(header),
                          .len = header.len - sizeof(header)};
    *at += ALIGN_UP(header.len, 8);
    return 1;
}

int cmsg_put(struct socket_message *msg, int level, int type, const void *data, size_t len)
{
    struct header header = {.len = sizeof(header) + len, .level = level, .type = type};

    if (msg->control_room < sizeof(header)) {
        msg->out_flags |= MSG_CTRUNC;
        return 0;
    }
    if (msg->control_room < header.len) {
        msg->out_flags |= MSG_CTRUNC;
        header.len = msg->control_room;
    }
    if (copy_to_user(msg->control_to, &header, sizeof(header)) ||
        copy_to_user(msg->control_to + sizeof(header), data, header.len - sizeof(header)))
        return -EFAULT;
    size_t taken = MIN(ALIGN_UP(header.len, 8), msg->control_room);
    msg->control_to += taken;
    msg->control_room -= taken;
    return 0;
}
