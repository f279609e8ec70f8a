// Files: sealed memory, paths that cannot leave their root, locks.
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "error.h"
#include "poller.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#define MFD_EXEC 0x0010U
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x0020
#endif

namespace runnc {
namespace {

// Kernels before 6.3 know neither flag; there every memfd is executable.
int NewMemfd(const std::string &name, unsigned flags, bool executable) {
  int fd = memfd_create(name.c_str(), flags | (executable ? MFD_EXEC : MFD_NOEXEC_SEAL));
  return fd < 0 && errno == EINVAL ? memfd_create(name.c_str(), flags) : fd;
}

// Empty, to be written.
Napi::Value Memfd(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  int fd = NewMemfd(info[0].As<Napi::String>().Utf8Value(), MFD_CLOEXEC, false);
  if (fd < 0) return Throw(env, errno, "memfd_create");
  return Napi::Number::New(env, fd);
}

// Zeros, of a size that stays, to be shared by two processes.
Napi::Value WindowMemfd(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  std::string name = info[0].As<Napi::String>().Utf8Value();
  int64_t size = info[1].As<Napi::Number>().Int64Value();
  int fd = NewMemfd(name, MFD_CLOEXEC | MFD_ALLOW_SEALING, false);
  if (fd < 0) return Throw(env, errno, "memfd_create");
  Descriptor owned(fd);
  if (ftruncate(fd, size) != 0) return Throw(env, errno, "ftruncate");
  if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW) != 0) return Throw(env, errno, "fcntl");
  return Napi::Number::New(env, owned.release());
}

Napi::Value SealedMemfd(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  std::string name = info[0].As<Napi::String>().Utf8Value();
  Napi::Uint8Array content = info[1].As<Napi::Uint8Array>();
  unsigned mode = static_cast<unsigned>(ToInt(info[2]));
  bool executable = (mode & 0111) != 0;
  if (env.IsExceptionPending()) return env.Undefined();

  int fd = NewMemfd(name, MFD_CLOEXEC | MFD_ALLOW_SEALING, executable);
  if (fd < 0) return Throw(env, errno, "memfd_create");
  Descriptor owned(fd);

  const uint8_t *from = content.Data();
  size_t left = content.ByteLength();
  while (left > 0) {
    ssize_t written = write(fd, from, left);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return Throw(env, errno, "write");
    from += written;
    left -= static_cast<size_t>(written);
  }
  if (lseek(fd, 0, SEEK_SET) != 0) return Throw(env, errno, "lseek");
  if (fchmod(fd, mode) != 0) return Throw(env, errno, "fchmod");
  int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
  if (fcntl(fd, F_ADD_SEALS, seals | F_SEAL_EXEC) != 0 && fcntl(fd, F_ADD_SEALS, seals) != 0) {
    return Throw(env, errno, "fcntl");
  }
  return Napi::Number::New(env, owned.release());
}

// Names of files are bytes: those that are not UTF-8 come in a Buffer.
std::string ToPath(const Napi::Value &value) {
  if (!value.IsBuffer()) return value.As<Napi::String>().Utf8Value();
  auto bytes = value.As<Napi::Buffer<char>>();
  return std::string(bytes.Data(), bytes.Length());
}

Napi::Value OpenInRoot(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  int root = ToInt(info[0]);
  std::string path = ToPath(info[1]);
  int flags = ToInt(info[2]);
  int mode = ToInt(info[3]);
  if (env.IsExceptionPending()) return env.Undefined();
  if (path.find('\0') != std::string::npos) return Throw(env, EINVAL, "openat2");

  struct open_how how = {};
  how.flags = static_cast<unsigned>(flags) | O_CLOEXEC;
  // openat2 refuses a mode that would not be used.
  if ((flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE) how.mode = static_cast<unsigned>(mode);
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  // EAGAIN: something was renamed while ".." was resolved. Tried again, but not for ever: the other side may be hostile.
  for (int attempt = 0; attempt < 128; attempt++) {
    long fd = syscall(SYS_openat2, root, path.c_str(), &how, sizeof how);
    if (fd >= 0) return Napi::Number::New(env, static_cast<double>(fd));
    if (errno != EAGAIN && errno != EINTR) break;
  }
  return Throw(env, errno, "openat2");
}

// mknodat(2): a device, FIFO or socket; the mode has the type.
Napi::Value MakeNode(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  int folder = ToInt(info[0]);
  std::string name = ToPath(info[1]);
  int mode = ToInt(info[2]);
  int major = ToInt(info[3]);
  int minor = ToInt(info[4]);
  if (env.IsExceptionPending()) return env.Undefined();
  if (name.find('\0') != std::string::npos) return Throw(env, EINVAL, "mknodat");
  dev_t device = makedev(static_cast<unsigned>(major), static_cast<unsigned>(minor));
  if (mknodat(folder, name.c_str(), static_cast<mode_t>(mode), device) != 0) return Throw(env, errno, "mknodat");
  return env.Undefined();
}

// Everything of this file system that is not on disk yet. May take long: not for the hot verbs.
Napi::Value SyncFileSystem(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  int fd = ToInt(info[0]);
  if (env.IsExceptionPending()) return env.Undefined();
  if (syncfs(fd) != 0) return Throw(env, errno, "syncfs");
  return env.Undefined();
}

// A folder as it is without what is mounted inside it: a mount of its own that no path leads to.
Napi::Value OpenTree(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  std::string path = info[0].As<Napi::String>().Utf8Value();
  if (path.find('\0') != std::string::npos) return Throw(env, EINVAL, "open_tree");
  int fd = open_tree(AT_FDCWD, path.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  if (fd < 0) return Throw(env, errno, "open_tree");
  return Napi::Number::New(env, fd);
}

// 0 or an errno.
int Lock(int fd, int operation) {
  while (flock(fd, operation) != 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

int Operation(const Napi::Value &exclusive) { return exclusive.As<Napi::Boolean>().Value() ? LOCK_EX : LOCK_SH; }

Napi::Value TryLockFile(const Napi::CallbackInfo &info) {
  int error = Lock(ToInt(info[0]), Operation(info[1]) | LOCK_NB);
  if (error != 0 && error != EWOULDBLOCK) return Throw(info.Env(), error, "flock");
  return Napi::Boolean::New(info.Env(), error == 0);
}

struct LockWork : Completion {
  LockWork(int fd_, int operation_) : fd(fd_), operation(operation_) { syscall = "flock"; }
  // A duplicate shares the lock, which belongs to the open file: the caller may close its own while we wait.
  Descriptor fd;
  int operation;
};

Napi::Value LockFile(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  int fd = ToInt(info[0]);
  int operation = Operation(info[1]);
  int error = Lock(fd, operation | LOCK_NB);
  if (error == EWOULDBLOCK) {
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (copy < 0) return Throw(env, errno, "fcntl");
    return RunOnThread(env, new LockWork(copy, operation), [](Completion *completion) {
      LockWork *work = static_cast<LockWork *>(completion);
      work->error = Lock(work->fd.get(), work->operation);
    });
  }
  if (error != 0) return Throw(env, error, "flock");
  Napi::Promise::Deferred deferred = Napi::Promise::Deferred::New(env);
  deferred.Resolve(env.Undefined());
  return deferred.Promise();
}

}  // namespace

void ExportFile(Napi::Env env, Napi::Object exports) {
  exports.Set("sealedMemfd", Napi::Function::New<SealedMemfd>(env, "sealedMemfd"));
  exports.Set("windowMemfd", Napi::Function::New<WindowMemfd>(env, "windowMemfd"));
  exports.Set("memfd", Napi::Function::New<Memfd>(env, "memfd"));
  exports.Set("openTree", Napi::Function::New<OpenTree>(env, "openTree"));
  exports.Set("openInRoot", Napi::Function::New<OpenInRoot>(env, "openInRoot"));
  exports.Set("makeNode", Napi::Function::New<MakeNode>(env, "makeNode"));
  exports.Set("syncFileSystem", Napi::Function::New<SyncFileSystem>(env, "syncFileSystem"));
  exports.Set("tryLockFile", Napi::Function::New<TryLockFile>(env, "tryLockFile"));
  exports.Set("lockFile", Napi::Function::New<LockFile>(env, "lockFile"));
}

}  // namespace runnc
