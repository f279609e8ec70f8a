/* The scheduler's side of time/timer.h. */
#ifndef LINUX_TIME_TIMER_IMPL_H
#define LINUX_TIME_TIMER_IMPL_H

#include "time/timer.h"

/* Fires what is due. */
void timers_run(void);
/* The next deadline, WAIT_FOREVER if there is none. */
int64_t timers_next(void);

#endif
