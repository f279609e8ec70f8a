// Waiting without blocking the event loop: one thread with one epoll set for any number of waits, so that a program
// with a thousand containers needs one thread and none of the event loop's own pool.
#ifndef RUNNC_ADDON_POLLER_H
#define RUNNC_ADDON_POLLER_H

#include <napi.h>

#include "error.h"

namespace runnc {

// What a wait ends in: with `error` 0 the promise is fulfilled, else rejected with that errno. Whoever works on a thread
// derives from it what the work needs; it must not hold anything of JavaScript.
struct Completion {
  virtual ~Completion() = default;
  int error = 0;
  const char *syscall = "";
};

// The promise is settled once `fd` is readable (data, end of file, error; a pidfd: death). `fd` is duplicated, so the
// caller may close it. A descriptor that epoll refuses (a regular file) is always readable.
// Takes `completion`, and looks at it when the wait is over.
Napi::Value WaitReadable(Napi::Env env, int fd, Completion *completion);

// Runs `work` on a thread of its own, then settles the promise. For calls that block and cannot be polled.
// Takes `completion`.
Napi::Value RunOnThread(Napi::Env env, Completion *completion, void (*work)(Completion *));

void ExportPoller(Napi::Env env, Napi::Object exports);

}  // namespace runnc

#endif
