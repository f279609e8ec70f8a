/* A proxy's own standard descriptors. What is done with them does not wait, as far as the host lets us. */
#ifndef RUNNC_CONTROL_STDIO_H
#define RUNNC_CONTROL_STDIO_H

#include "control.h"

/* A ring of what came from the guest and was not written yet. */
struct output {
    char bytes[RUNNC_CONTROL_WINDOW];
    uint32_t head, length;
};

/* Before confine(): each is opened anew where that can be done, so that O_NONBLOCK reaches nobody else. */
void stdio_prepare(void);

/* Reads what is there; 0 at the end or after an error, -1 if there is nothing now. Call it when poll says so. */
long stdio_read(void *bytes, size_t size);

/* False: it is more than the guest may send. */
bool output_add(struct output *output, const void *bytes, size_t size);
/* Writes what can be written: bytes, or -1 if nobody will read any more. */
long output_write(struct output *output, int fd);

#endif
