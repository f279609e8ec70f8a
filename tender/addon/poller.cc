#include "poller.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <memory>

namespace runnc {
namespace {

struct Wait {
  Wait(Napi::Env env, int fd_, Completion *completion_)
      : deferred(Napi::Promise::Deferred::New(env)), fd(fd_), completion(completion_) {}
  Napi::Promise::Deferred deferred;
  Descriptor fd;
  std::unique_ptr<Completion> completion;
};

void Settle(Napi::Env env, Wait *wait) {
  if (wait->completion->error == 0) {
    wait->deferred.Resolve(env.Undefined());
  } else {
    wait->deferred.Reject(SystemError(env, wait->completion->error, wait->completion->syscall).Value());
  }
}

// Threads of ours take no signals: the program's handlers run where they always ran.
int StartThread(pthread_t *thread, void *(*main)(void *), void *argument) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int error = pthread_create(thread, nullptr, main, argument);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return error;
}

// One for each environment (the main program, each worker). All but Main() runs on the event loop's thread.
class Poller {
 public:
  // The environment's poller, started at its first use; nullptr with *error set if the host refuses.
  static Poller *Of(Napi::Env env, int *error) {
    Poller *poller = env.GetInstanceData<Poller>();
    if (poller == nullptr) {
      poller = new Poller();
      *error = poller->Start(env);
      if (*error != 0) {
        delete poller;
        return nullptr;
      }
      env.SetInstanceData<Poller>(poller);
    }
    return poller;
  }

  // 0 or an errno; EPERM: this kind of descriptor cannot be polled.
  int Add(Napi::Env env, Wait *wait) {
    struct epoll_event event = {};
    event.events = EPOLLIN | EPOLLRDHUP | EPOLLONESHOT;
    event.data.ptr = wait;
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wait->fd.get(), &event) != 0) return errno;
    // A pending wait keeps the event loop alive, an idle poller does not.
    if (pending_++ == 0) napi_ref_threadsafe_function(env, settle_);
    return 0;
  }

  ~Poller() {
    if (running_) {
      uint64_t one = 1;
      if (write(stop_.get(), &one, sizeof one) == sizeof one) pthread_join(thread_, nullptr);
    }
  }

 private:
  Poller() : epoll_(epoll_create1(EPOLL_CLOEXEC)), stop_(eventfd(0, EFD_CLOEXEC)) {}

  int Start(Napi::Env env) {
    if (epoll_.get() < 0 || stop_.get() < 0) return EMFILE;
    struct epoll_event event = {};
    event.events = EPOLLIN;
    event.data.ptr = nullptr;
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, stop_.get(), &event) != 0) return errno;
    napi_value name = Napi::String::New(env, "runnc poller");
    if (napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, this, OnReadable,
                                        &settle_) != napi_ok) {
      return ENOMEM;
    }
    napi_unref_threadsafe_function(env, settle_);
    int error = StartThread(&thread_, Main, this);
    running_ = error == 0;
    return error;
  }

  static void *Main(void *argument) {
    Poller *self = static_cast<Poller *>(argument);
    struct epoll_event events[16];
    for (;;) {
      int count = epoll_wait(self->epoll_.get(), events, 16, -1);
      for (int i = 0; i < count; i++) {
        if (events[i].data.ptr == nullptr) return nullptr;
        napi_status status = napi_call_threadsafe_function(self->settle_, events[i].data.ptr, napi_tsfn_nonblocking);
        if (status == napi_closing) return nullptr;
      }
    }
  }

  static void OnReadable(napi_env env, napi_value, void *context, void *data) {
    std::unique_ptr<Wait> wait(static_cast<Wait *>(data));
    if (env == nullptr) return;
    Poller *self = static_cast<Poller *>(context);
    // The number closed below may soon name another file in the set, so it must leave first.
    epoll_ctl(self->epoll_.get(), EPOLL_CTL_DEL, wait->fd.get(), nullptr);
    if (--self->pending_ == 0) napi_unref_threadsafe_function(env, self->settle_);
    Napi::HandleScope scope(env);
    Settle(Napi::Env(env), wait.get());
  }

  Descriptor epoll_;
  Descriptor stop_;
  napi_threadsafe_function settle_ = nullptr;
  pthread_t thread_ = {};
  bool running_ = false;
  int pending_ = 0;
};

struct ThreadWork {
  Completion *completion;
  void (*work)(Completion *);
  int done;
};

// Ends the wait. The completion belongs to the event loop's side from here on.
void Finish(ThreadWork *task) {
  uint64_t one = 1;
  ssize_t written = write(task->done, &one, sizeof one);
  (void)written;  // Cannot fail: the counter was 0.
  close(task->done);
  delete task;
}

void *RunWork(void *argument) {
  ThreadWork *task = static_cast<ThreadWork *>(argument);
  task->work(task->completion);
  Finish(task);
  return nullptr;
}

}  // namespace

Napi::Value WaitReadable(Napi::Env env, int fd, Completion *completion) {
  std::unique_ptr<Completion> owned(completion);
  int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
  if (copy < 0) return Throw(env, errno, "fcntl");
  std::unique_ptr<Wait> wait(new Wait(env, copy, owned.release()));
  Napi::Promise promise = wait->deferred.Promise();
  int error = 0;
  Poller *poller = Poller::Of(env, &error);
  if (poller != nullptr) error = poller->Add(env, wait.get());
  if (error == 0) {
    wait.release();
  } else if (error == EPERM) {
    Settle(env, wait.get());
  } else {
    return Throw(env, error, "epoll_ctl");
  }
  return promise;
}

Napi::Value RunOnThread(Napi::Env env, Completion *completion, void (*work)(Completion *)) {
  std::unique_ptr<Completion> owned(completion);
  Descriptor done(eventfd(0, EFD_CLOEXEC));
  if (done.get() < 0) return Throw(env, errno, "eventfd");
  int copy = fcntl(done.get(), F_DUPFD_CLOEXEC, 3);
  if (copy < 0) return Throw(env, errno, "fcntl");
  ThreadWork *task = new ThreadWork{completion, work, copy};
  Napi::Value promise = WaitReadable(env, done.get(), owned.release());
  if (env.IsExceptionPending()) {
    close(copy);
    delete task;
    return promise;
  }
  pthread_t thread;
  int error = StartThread(&thread, RunWork, task);
  if (error == 0) {
    pthread_detach(thread);
  } else {
    completion->error = error;
    completion->syscall = "pthread_create";
    Finish(task);
  }
  return promise;
}

// Without the poller, on the event loop's own thread. A signal ends it early, so that its handler can run.
static Napi::Value PollReadable(const Napi::CallbackInfo &info) {
  struct pollfd waited = {ToInt(info[0]), POLLIN | POLLRDHUP, 0};
  int count = poll(&waited, 1, ToInt(info[1]));
  if (count < 0 && errno != EINTR) return Throw(info.Env(), errno, "poll");
  if (count > 0 && (waited.revents & POLLNVAL) != 0) return Throw(info.Env(), EBADF, "poll");
  return Napi::Boolean::New(info.Env(), count > 0);
}

void ExportPoller(Napi::Env env, Napi::Object exports) {
  exports.Set("pollReadable", Napi::Function::New<PollReadable>(env, "pollReadable"));
  exports.Set("waitReadable", Napi::Function::New(
                                  env,
                                  [](const Napi::CallbackInfo &info) {
                                    return WaitReadable(info.Env(), ToInt(info[0]), new Completion());
                                  },
                                  "waitReadable"));
}

}  // namespace runnc
