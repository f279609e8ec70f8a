// Processes: start one, learn how it ended, name it, signal it.
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "error.h"

namespace runnc {
namespace {

// What the child needs, made ready by the parent: between clone and exec it shares our memory and must not allocate.
struct ChildPlan {
  int executable;
  char *const *argv;
  char *const *environment;
  const int *descriptors;
  int *copies;
  int count;
  // Written by the child: 0, or why it could not execute, and the call that failed.
  volatile int error;
  const char *volatile syscall;
};

int ChildFails(ChildPlan *plan, const char *syscall) {
  plan->error = errno;
  plan->syscall = syscall;
  _exit(127);
}

int ChildMain(void *argument) {
  ChildPlan *plan = static_cast<ChildPlan *>(argument);
  // Handlers are code of a program that is about to be gone; ignored signals (SIGPIPE) would be inherited.
  for (int signal = 1; signal < NSIG; signal++) {
    struct sigaction action = {};
    action.sa_handler = SIG_DFL;
    sigaction(signal, &action, nullptr);
  }
  // First all out of the way, then to their places: a source may sit on another's place.
  int executable = fcntl(plan->executable, F_DUPFD_CLOEXEC, plan->count);
  if (executable < 0) return ChildFails(plan, "fcntl");
  for (int i = 0; i < plan->count; i++) {
    plan->copies[i] = fcntl(plan->descriptors[i], F_DUPFD_CLOEXEC, plan->count);
    if (plan->copies[i] < 0) return ChildFails(plan, "fcntl");
  }
  for (int i = 0; i < plan->count; i++) {
    if (dup2(plan->copies[i], i) < 0) return ChildFails(plan, "dup2");
  }
  if (syscall(SYS_close_range, plan->count, UINT_MAX, 4 /* CLOSE_RANGE_CLOEXEC */) != 0) {
    return ChildFails(plan, "close_range");
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  syscall(SYS_execveat, executable, "", plan->argv, plan->environment, AT_EMPTY_PATH);
  return ChildFails(plan, "execveat");
}

std::vector<char *> ToVector(std::vector<std::string> &strings) {
  std::vector<char *> result;
  for (std::string &text : strings) result.push_back(&text[0]);
  result.push_back(nullptr);
  return result;
}

Napi::Value Spawn(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  bool ok = true;
  std::vector<std::string> argv = ToStrings(info[1], &ok);
  std::vector<std::string> environment = ToStrings(info[2], &ok);
  std::vector<int> descriptors = ToInts(info[3]);
  if (env.IsExceptionPending()) return env.Undefined();
  if (!ok || argv.empty()) return Throw(env, EINVAL, "execveat");
  std::vector<char *> argv_pointers = ToVector(argv);
  std::vector<char *> environment_pointers = ToVector(environment);
  std::vector<int> copies(descriptors.size());

  ChildPlan plan = {};
  plan.executable = ToInt(info[0]);
  plan.argv = argv_pointers.data();
  plan.environment = environment_pointers.data();
  plan.descriptors = descriptors.data();
  plan.copies = copies.data();
  plan.count = static_cast<int>(descriptors.size());

  // A stack of its own, as posix_spawn has: the child returns from clone() on memory that we still use.
  const size_t stack_bytes = 64 * 1024;
  void *stack = mmap(nullptr, stack_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (stack == MAP_FAILED) return Throw(env, errno, "mmap");

  // No handler of ours may run in the child, on our memory.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int pidfd = -1;
  // CLONE_VFORK: nothing of this (big, threaded) process is copied, and we go on when the child has executed.
  int pid = clone(ChildMain, static_cast<char *>(stack) + stack_bytes, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD,
                  &plan, &pidfd);
  int error = errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  munmap(stack, stack_bytes);
  if (pid < 0) return Throw(env, error, "clone");

  Descriptor owned(pidfd);
  if (plan.error != 0) {
    waitpid(pid, nullptr, 0);
    return Throw(env, plan.error, plan.syscall);
  }
  Napi::Object result = Napi::Object::New(env);
  result.Set("pid", Napi::Number::New(env, pid));
  result.Set("pidfd", Napi::Number::New(env, owned.release()));
  return result;
}

Napi::Value Reap(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  siginfo_t status = {};
  while (waitid(P_PIDFD, static_cast<id_t>(ToInt(info[0])), &status, WEXITED) != 0) {
    if (errno != EINTR) return Throw(env, errno, "waitid");
  }
  Napi::Object result = Napi::Object::New(env);
  bool exited = status.si_code == CLD_EXITED;
  result.Set("type", Napi::String::New(env, exited ? "exited" : "signaled"));
  result.Set(exited ? "code" : "signal", Napi::Number::New(env, status.si_status));
  return result;
}

Napi::Value PidfdOpen(const Napi::CallbackInfo &info) {
  int pidfd = static_cast<int>(syscall(SYS_pidfd_open, ToInt(info[0]), 0));
  if (pidfd < 0) return Throw(info.Env(), errno, "pidfd_open");
  return Napi::Number::New(info.Env(), pidfd);
}

Napi::Value PidfdSendSignal(const Napi::CallbackInfo &info) {
  if (syscall(SYS_pidfd_send_signal, ToInt(info[0]), ToInt(info[1]), nullptr, 0) != 0) {
    return Throw(info.Env(), errno, "pidfd_send_signal");
  }
  return info.Env().Undefined();
}

Napi::Value PidfdGetfd(const Napi::CallbackInfo &info) {
  int fd = static_cast<int>(syscall(SYS_pidfd_getfd, ToInt(info[0]), ToInt(info[1]), 0));
  if (fd < 0) return Throw(info.Env(), errno, "pidfd_getfd");
  return Napi::Number::New(info.Env(), fd);
}

Napi::Value SetSubreaper(const Napi::CallbackInfo &info) {
  int before = 0;
  unsigned long on = info[0].As<Napi::Boolean>().Value() ? 1 : 0;
  if (prctl(PR_GET_CHILD_SUBREAPER, &before) != 0 || prctl(PR_SET_CHILD_SUBREAPER, on, 0, 0, 0) != 0) {
    return Throw(info.Env(), errno, "prctl");
  }
  return Napi::Boolean::New(info.Env(), before != 0);
}

}  // namespace

void ExportProcess(Napi::Env env, Napi::Object exports) {
  exports.Set("spawn", Napi::Function::New<Spawn>(env, "spawn"));
  exports.Set("reap", Napi::Function::New<Reap>(env, "reap"));
  exports.Set("pidfdOpen", Napi::Function::New<PidfdOpen>(env, "pidfdOpen"));
  exports.Set("pidfdSendSignal", Napi::Function::New<PidfdSendSignal>(env, "pidfdSendSignal"));
  exports.Set("pidfdGetfd", Napi::Function::New<PidfdGetfd>(env, "pidfdGetfd"));
  exports.Set("setSubreaper", Napi::Function::New<SetSubreaper>(env, "setSubreaper"));
}

}  // namespace runnc
