/* Flags of recv(2) and send(2), and names of socket(2) and getsockopt(2), which the uapi headers do not have. */
#ifndef LINUX_SYSCALL_MSG_FLAGS_H
#define LINUX_SYSCALL_MSG_FLAGS_H

#define MSG_PEEK 0x2
#define MSG_DONTWAIT 0x40
#define MSG_WAITALL 0x100
#define MSG_NOSIGNAL 0x4000

#define AF_UNIX 1
#define SOCK_STREAM 1
#define SOCK_TYPE_MASK 0xf
#define SHUT_RD 0
#define SHUT_WR 1
#define SHUT_RDWR 2

#endif
