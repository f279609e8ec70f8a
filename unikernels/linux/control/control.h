/*
 * The control channel: programs that the runtime starts beside the container's
 * own one, with their standard streams (tender/common/abi/runnc_control.h).
 *
 *   channel.c   messages over the host descriptor
 *   session.c   one program and its streams, from request to exit
 *   stream.c    a standard stream: the kernel's end of a pipe or terminal
 *   request.c   what the runtime asks for, checked
 *   launch.c    from a request to a running program
 *   answer.c    what the runtime asks the kernel itself: memory, processes
 *
 * Whatever happens (a message, output, an exit) is only noted where it happens,
 * and dealt with in control_work(): on the way back to a program or before the
 * kernel idles. So nothing here runs inside of a pipe's or terminal's own code.
 * control_work() never sleeps.
 */
#ifndef LINUX_CONTROL_CONTROL_H
#define LINUX_CONTROL_CONTROL_H

/* Without a channel there is nothing to do, for ever. */
void control_init(void);
/* For WORK_CONTROL. */
void control_work(void);

#endif
