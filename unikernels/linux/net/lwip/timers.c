/*
 * lwIP counts time in ticks: of 40 ms for TCP, of one second for the rest. A
 * tick is a host call, so there is none while nobody needs it: ticks that were
 * left out are counted afterwards, before lwIP is entered again.
 */
#include "lwip/etharp.h"
#include "lwip/ip4_frag.h"
#include "lwip/ip6_frag.h"
#include "lwip/nd6.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/sys.h"
#include "lwip/timeouts.h"
#include "net/lwip/device.h"
#include "time/clock.h"

#define TCP_TICK_NS (TCP_TMR_INTERVAL * NSEC_PER_MSEC)
#define TIME_WAIT_GRAIN_NS (5 * NSEC_PER_SEC) /* ended connections are forgotten together */
#define SLOW_TICKS_MAX 400 /* after that every neighbour is forgotten anyway */

static struct {
    struct timer tcp, slow;
    int64_t tcp_last_ns, slow_last_ns; /* up to where time is counted */
    int64_t slow_until_ns;
    int64_t now;
} clocks;

int64_t net_now(void)
{
    return clocks.now;
}

u32_t sys_now(void)
{
    return (u32_t)(clock_monotonic() / NSEC_PER_MSEC);
}

/* Called by lwip_init(). */
void sys_timeouts_init(void) {}

/* lwIP says so for each new connection; net_timers_arm() looks by itself. */
void tcp_timer_needed(void) {}

static void slow_ticks(int64_t now)
{
    int64_t ticks = (now - clocks.slow_last_ns) / NSEC_PER_SEC;

    clocks.slow_last_ns += ticks * NSEC_PER_SEC;
    for (int64_t i = 0; i < MIN(ticks, SLOW_TICKS_MAX); i++) {
        etharp_tmr();
        nd6_tmr();
        ip_reass_tmr();
        ip6_reass_tmr();
    }
}

/* How long this connection can do without a tick. */
static int64_t connection_needs(const struct tcp_pcb *pcb)
{
    const uint32_t tick = TCP_SLOW_INTERVAL;
    uint32_t idle_ms = (tcp_ticks - pcb->tmr) * tick, due_ms;

    if (pcb->state == TIME_WAIT) {
        due_ms = 2 * TCP_MSL;
    } else {
        if ((pcb->state != ESTABLISHED && pcb->state != CLOSE_WAIT &&
             !(pcb->state == FIN_WAIT_2 && !(pcb->flags & TF_RXCLOSED))) ||
            pcb->unacked || pcb->unsent || pcb->ooseq || pcb->refused_data ||
            pcb->flags & (TF_ACK_DELAY | TF_ACK_NOW | TF_CLOSEPEND | TF_NAGLEMEMERR))
            return 0;
        if (!ip_get_option(pcb, SOF_KEEPALIVE)) return WAIT_FOREVER;
        due_ms = pcb->keep_idle + pcb->keep_cnt_sent * pcb->keep_intvl;
    }
    due_ms += tick;
    return due_ms > idle_ms ? (int64_t)(due_ms - idle_ms) * NSEC_PER_MSEC : 0;
}

static int64_t connections_need(const struct tcp_pcb *list)
{
    int64_t least = WAIT_FOREVER;

    for (const struct tcp_pcb *pcb = list; pcb && least > 0; pcb = pcb->next) least = MIN(least, connection_needs(pcb));
    return least;
}

static void tcp_tick(struct timer *timer)
{
    int64_t now = clock_monotonic();
    (void)timer;

    net_enter();
    tcp_tmr();
    clocks.tcp_last_ns = now;
    net_leave();
    int64_t need = MIN(connections_need(tcp_active_pcbs), MAX(connections_need(tcp_tw_pcbs), TIME_WAIT_GRAIN_NS));
    if (need == WAIT_FOREVER)
        timer_cancel(&clocks.tcp);
    else
        timer_arm(&clocks.tcp, now + MAX(need, TCP_TICK_NS));
}

static void slow_tick(struct timer *timer)
{
    const bool was_armed = timer_armed(&clocks.tcp);
    const int64_t deadline = clocks.tcp.deadline_ns;
    (void)timer;

    net_enter(); /* counts what has passed */
    net_leave();
    /* Nothing of TCP's has happened. */
    if (was_armed)
        timer_arm(&clocks.tcp, deadline);
    else
        timer_cancel(&clocks.tcp);
}

void net_timers_init(void)
{
    timer_init(&clocks.tcp, tcp_tick);
    timer_init(&clocks.slow, slow_tick);
    clocks.tcp_last_ns = clocks.slow_last_ns = clock_monotonic();
}

void net_timers_catch_up(void)
{
    int64_t now = clocks.now = clock_monotonic();

    if (now - clocks.slow_last_ns >= NSEC_PER_SEC) slow_ticks(now);
    if (now - clocks.tcp_last_ns >= 4 * TCP_TICK_NS) {
        /* No connection had anything to be done meanwhile: only the clock is late. */
        tcp_ticks += (u32_t)((now - clocks.tcp_last_ns) / (2 * TCP_TICK_NS));
        clocks.tcp_last_ns = now;
    }
}

void net_timers_slow(uint32_t seconds)
{
    clocks.slow_until_ns = MAX(clocks.slow_until_ns, clock_monotonic() + seconds * NSEC_PER_SEC);
}

void net_timers_arm(void)
{
    int64_t now = clocks.now, soon = now + TCP_TICK_NS;

    if ((tcp_active_pcbs || tcp_tw_pcbs) && (!timer_armed(&clocks.tcp) || clocks.tcp.deadline_ns > soon))
        timer_arm(&clocks.tcp, soon);
    if (clocks.slow_until_ns > now && !timer_armed(&clocks.slow))
        timer_arm(&clocks.slow, clocks.slow_last_ns + NSEC_PER_SEC);
}
