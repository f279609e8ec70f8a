/*
 * lwIP as we build it: its IP, ICMP, ARP, ND and TCP, called from one thread.
 * UDP, sockets, timers and the demultiplexing of TCP are ours (net/inet/).
 */
#ifndef LWIPOPTS_H
#define LWIPOPTS_H

#define NO_SYS 1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_SOCKET 0
#define LWIP_NETCONN 0
#define LWIP_TIMERS 1
#define LWIP_TIMERS_CUSTOM 1 /* timers.c: they stand still while nothing needs them */
#define LWIP_STATS 0

/* Memory comes from pool.c, which bounds it; the numbers below are no limits then. */
#define MEM_LIBC_MALLOC 1
#define MEMP_MEM_MALLOC 1
#define mem_clib_malloc net_pool_alloc
#define mem_clib_free net_pool_free
#define mem_clib_calloc net_pool_calloc
#define MEM_ALIGNMENT 8
#define MEM_SIZE (1 << 30)
#define MEMP_NUM_PBUF 65535
#define MEMP_NUM_TCP_PCB 65535
#define MEMP_NUM_TCP_SEG 65535
#define MEMP_NUM_REASSDATA 64
#define PBUF_POOL_SIZE 65535
#define PBUF_POOL_BUFSIZE 1664
#define LWIP_SUPPORT_CUSTOM_PBUF 1

#define LWIP_IPV4 1
#define LWIP_IPV6 1
#define LWIP_UDP 0
#define LWIP_RAW 1
#define LWIP_TCP 1
#define LWIP_ICMP 1
#define LWIP_ICMP6 1
#define LWIP_ARP 1
#define LWIP_ETHERNET 1
#define LWIP_DNS 0
#define LWIP_IGMP 0
#define LWIP_IPV6_MLD 0
#define LWIP_IPV6_AUTOCONFIG 0
#define LWIP_IPV6_DUP_DETECT_ATTEMPTS 0 /* the host's kernel has seen to it: the addresses were its own */
#define LWIP_IPV6_SEND_ROUTER_SOLICIT 0
#define LWIP_IPV6_NUM_ADDRESSES 8
#define LWIP_IPV6_SCOPES 1
#define LWIP_ND6_ALLOW_RA_UPDATES 0 /* routes and MTU come from the boot config alone */
#define LWIP_ND6_NUM_NEIGHBORS 64
#define LWIP_ND6_NUM_DESTINATIONS 64
#define LWIP_ND6_NUM_PREFIXES 1
#define LWIP_ND6_NUM_ROUTERS 1
#define LWIP_IPV6_FORWARD 0
#define IP_FORWARD 0
#define IP_FRAG 1
#define IP_REASSEMBLY 1
#define IP_REASS_MAX_PBUFS 512
#define LWIP_IPV6_FRAG 1
#define LWIP_IPV6_REASS 1
#define IPV6_FRAG_COPYHEADER 1 /* pointers have 8 bytes */
#define IP_REASS_FREE_OLDEST 1
#define IP_DEFAULT_TTL 64
#define LWIP_BROADCAST_PING 0
#define LWIP_MULTICAST_PING 0
#define ARP_TABLE_SIZE 64
#define ARP_QUEUEING 1
#define ARP_QUEUE_LEN 32
#define LWIP_ND6_QUEUEING 1
#define ETHARP_SUPPORT_STATIC_ENTRIES 1
#define LWIP_NETIF_HWADDRHINT 0
#define LWIP_MULTICAST_TX_OPTIONS 0
#define LWIP_HAVE_LOOPIF 0
#define LWIP_NETIF_LOOPBACK 0 /* net/inet/ keeps what is for this machine */
#define LWIP_CHECKSUM_CTRL_PER_NETIF 1
#define LWIP_CHECKSUM_ON_COPY 0

/*
 * Segments inside are multiples of the link's: the tap cuts them, so that a
 * frame is up to 64 KiB. 16060 is 11 times the 1460 of Ethernet.
 */
#define TCP_MSS 16060
#define TCP_OVERSIZE 1460
#define TCP_CALCULATE_EFF_SEND_MSS 1
#define LWIP_TCP_CALC_INITIAL_CWND(mss) ((tcpwnd_size_t)LWIP_MAX(10U * (mss), 16060U)) /* RFC 6928 */
#define LWIP_WND_SCALE 1
#define TCP_RCV_SCALE 7
#define TCP_WND (4 * 1024 * 1024)
#define TCP_SND_BUF (1024 * 1024)
#define TCP_SND_QUEUELEN 32000
#define TCP_SNDLOWAT 8192
#define TCP_SNDQUEUELOWAT 100
#define TCP_WND_UPDATE_THRESHOLD (256 * 1024)
#define LWIP_TCP_SACK_OUT 1
#define LWIP_TCP_MAX_SACK_NUM 4
#define TCP_QUEUE_OOSEQ 1
#define TCP_OOSEQ_MAX_BYTES TCP_WND
#define TCP_OOSEQ_MAX_PBUFS 4096
#define TCP_LISTEN_BACKLOG 0 /* counted in net/inet/tcp_listen.c */
#define LWIP_TCP_KEEPALIVE 1
#define LWIP_TCP_PCB_NUM_EXT_ARGS 1
#define SO_REUSE 0
#define TCP_TMR_INTERVAL 40 /* ms: delayed acknowledgements; twice that is the grain of retransmission */
#define TCP_RTO_MIN 200     /* ms, as Linux */
#define LWIP_TCP_RTO_TIME 1000
#define TCP_SYNMAXRTX 6 /* with the first after a second, and doubling: 127 seconds, as Linux */
#define TCP_MAXRTX 12
#define TCP_MSL 30000UL /* ms */
#define LWIP_DISABLE_TCP_SANITY_CHECKS 1 /* they forbid a queue of 32000 pbufs */
#define LWIP_DISABLE_MEMP_SANITY_CHECKS 1
#define LWIP_TCP_CLOSE_TIMEOUT_MS_DEFAULT 0

#define LWIP_HOOK_IP4_ROUTE_SRC net_route4
#define LWIP_HOOK_FILENAME "net/lwip/hooks.h"

#endif
