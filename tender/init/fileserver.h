/* The process that serves mounted folders to the guest (tender/fileserver). */
#ifndef RUNNC_INIT_FILESERVER_H
#define RUNNC_INIT_FILESERVER_H

#include "report.h"

/*
 * Starts it, if the plan has anything to serve, as a child of this process: in its cgroups and pid namespace, with a
 * mount namespace of its own. Returns once it does not need this process's mounts any more. It ends when its channel
 * does, and at the latest with this process.
 */
void start_file_server(const struct init *init);

#endif
