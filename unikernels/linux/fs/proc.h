/* /proc: what programs may know of themselves, of each other and of this machine. Never of the host's. */
#ifndef LINUX_FS_PROC_H
#define LINUX_FS_PROC_H

#include "fs/pseudo.h"

struct process;
struct task;

struct super_block *proc_new(void);

/* Folders of one process (proc_pid.c); arg is the pid. */
extern const struct pseudo_entry proc_pid_entry;
/* In each process's folder: there is one network, but programs look there. */
extern const struct pseudo_entry proc_net_children[];
/* The pid of an open folder /proc/PID, 0 if it is another file. */
int proc_pid_of(const struct file *file);
pseudo_owner proc_pid_owner;
/* As in stat: R, S, T or Z. task: the process's first one, NULL if there is none any more. */
char proc_state(const struct process *process, const struct task *task);
int proc_show_mounts(struct seq_file *seq, uint64_t arg);

#endif
