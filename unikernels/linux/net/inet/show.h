/* The tables of /proc/net that are about AF_INET and AF_INET6: content of pseudo files. */
#ifndef LINUX_NET_INET_SHOW_H
#define LINUX_NET_INET_SHOW_H

#include "lib/types.h"

struct seq_file;

int show_arp(struct seq_file *seq, uint64_t arg);
int show_dev(struct seq_file *seq, uint64_t arg);
int show_if_inet6(struct seq_file *seq, uint64_t arg);
int show_ipv6_route(struct seq_file *seq, uint64_t arg);
int show_route(struct seq_file *seq, uint64_t arg);
int show_tcp(struct seq_file *seq, uint64_t arg);
int show_tcp6(struct seq_file *seq, uint64_t arg);
int show_udp(struct seq_file *seq, uint64_t arg);
int show_udp6(struct seq_file *seq, uint64_t arg);
int show_raw(struct seq_file *seq, uint64_t arg);
int show_raw6(struct seq_file *seq, uint64_t arg);

#endif
