/* Messages over the host descriptor, for the rest of control/. */
#ifndef LINUX_CONTROL_CHANNEL_H
#define LINUX_CONTROL_CHANNEL_H

#include "lib/types.h"
#include "tender/common/abi/runnc_control.h"

/* False where the host gave no channel. */
bool channel_open(void);

/* The next message, checked against its own length; it is there until the next call. NULL: there is none now. */
const struct runnc_control *channel_receive(size_t *data_size);

/* A message can be sent now. */
bool channel_ready(void);
/* Where the data of the next message goes: RUNNC_CONTROL_DATA_MAX bytes. Only while the channel is ready. */
void *channel_buffer(void);
/* Sends a message with what is in the buffer. The channel must be ready. */
void channel_send(unsigned type, unsigned stream, uint32_t value, uint64_t session, size_t data_size);

#endif
