/*
 * System V semaphores: semget(2), semop(2), semctl(2).
 *
 * The operations of one call are done all at once or not at all; whoever has to
 * wait tries again when any semaphore of the set has changed, in order of arrival.
 * What is to be undone when a process ends (SEM_UNDO) is kept per process, and
 * shared by its threads.
 */
#ifndef LINUX_IPC_SEM_H
#define LINUX_IPC_SEM_H

#include <linux/sem.h>

#include "lib/types.h"

struct process;

/* Results and errors as the system calls'. */
long sem_get(int32_t key, int count, int flags);
/* Deadline in CLOCK_MONOTONIC nanoseconds, WAIT_FOREVER. */
long sem_operate(int id, const struct sembuf *ops, unsigned count, int64_t deadline);
uint64_t sem_operations_max(void);

/* GETVAL, GETPID, GETNCNT, GETZCNT. */
long sem_read(int id, int number, int command);
long sem_write(int id, int number, int value);
/* GETALL: values, as many as sem_count says; the caller's to kfree. ERR_PTR. */
uint16_t *sem_read_all(int id, unsigned *count);
/* Semaphores of a set that the task may write to; -EINVAL, -EACCES. */
long sem_count(int id);
/* SETALL with sem_count values. */
long sem_write_all(int id, const uint16_t *values, unsigned count);
/* place, any: as shm_stat. */
long sem_stat(int id, bool place, bool any, struct semid64_ds *ds);
long sem_set(int id, const struct semid64_ds *ds);
long sem_remove(int id);
/* IPC_INFO, and SEM_INFO if `usage`. The highest place in use. */
int sem_info(struct seminfo *info, bool usage);

/* The process ends: what is to be undone is undone. */
void sem_process_exit(struct process *process);

#endif
