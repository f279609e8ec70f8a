/* Timers of processes: setitimer(2), alarm(2), timer_create(2). */
#ifndef LINUX_TIME_ITIMER_H
#define LINUX_TIME_ITIMER_H

struct process;

/* All timers of a process that ends. */
void itimers_exit(struct process *p);
/* POSIX timers do not survive execve. */
void posix_timers_delete(struct process *p);

#endif
