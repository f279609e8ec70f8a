// The file calls that every verb makes: src/files.ts gives them the names and the manners of node:fs, which takes the
// one-file program longer to load than all that a short verb does.
#include "posix.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "error.h"

namespace runnc {
namespace {

// What is read at once of files that do not tell their size, as those of /proc and of cgroups.
constexpr size_t kChunk = 64 * 1024;

// An argument that names a file. The kernel would see less of one with a NUL inside than whoever checked it.
class Path {
 public:
  explicit Path(const Napi::Value &value) : text_(value.As<Napi::String>().Utf8Value()) {}
  bool ok() const { return text_.find('\0') == std::string::npos; }
  const char *c_str() const { return text_.c_str(); }
  const std::string &text() const { return text_; }

 private:
  std::string text_;
};

Napi::Value ThrowFor(Napi::Env env, int error, const char *syscall, const Path &path) {
  SystemError(env, error, syscall, path.text()).ThrowAsJavaScriptException();
  return env.Undefined();
}

template <typename Call>
auto Retry(Call call) -> decltype(call()) {
  for (;;) {
    auto result = call();
    if (result >= 0 || errno != EINTR) return result;
  }
}

// A call with a path and nothing to return.
template <typename Call>
Napi::Value OnPath(const Napi::CallbackInfo &info, const char *syscall, Call call) {
  Napi::Env env = info.Env();
  Path path(info[0]);
  if (env.IsExceptionPending()) return env.Undefined();
  if (!path.ok()) return ThrowFor(env, EINVAL, syscall, path);
  if (call(path.c_str()) != 0) return ThrowFor(env, errno, syscall, path);
  return env.Undefined();
}

Napi::Value Open(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  Path path(info[0]);
  int flags = ToInt(info[1]);
  int mode = ToInt(info[2]);
  if (env.IsExceptionPending()) return env.Undefined();
  if (!path.ok()) return ThrowFor(env, EINVAL, "open", path);
  int fd = Retry([&] { return open(path.c_str(), flags | O_CLOEXEC, mode); });
  if (fd < 0) return ThrowFor(env, errno, "open", path);
  return Napi::Number::New(env, fd);
}

// Linux closes the descriptor whatever it says.
Napi::Value Close(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  if (close(ToInt(info[0])) != 0 && errno == EBADF) return Throw(env, EBADF, "close");
  return env.Undefined();
}

// A part of a Uint8Array; `ok` is false if it is not inside.
struct Part {
  Part(const Napi::CallbackInfo &info, size_t at) {
    Napi::Uint8Array array = info[at].As<Napi::Uint8Array>();
    int64_t offset = info[at + 1].As<Napi::Number>().Int64Value();
    int64_t length = info[at + 2].As<Napi::Number>().Int64Value();
    if (info.Env().IsExceptionPending()) return;
    int64_t size = static_cast<int64_t>(array.ByteLength());
    if (offset < 0 || length < 0 || offset > size || length > size - offset) return;
    data = array.Data() + offset;
    bytes = static_cast<size_t>(length);
    ok = true;
  }
  uint8_t *data = nullptr;
  size_t bytes = 0;
  bool ok = false;
};

// read(2), or pread(2) at a position that is not negative.
Napi::Value Read(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  int fd = ToInt(info[0]);
  Part part(info, 1);
  int64_t position = info[4].As<Napi::Number>().Int64Value();
  if (env.IsExceptionPending()) return env.Undefined();
  if (!part.ok) return Throw(env, EINVAL, "read");
  ssize_t count = Retry([&] {
    return position < 0 ? read(fd, part.data, part.bytes) : pread(fd, part.data, part.bytes, position);
  });
  if (count < 0) return Throw(env, errno, "read");
  return Napi::Number::New(env, static_cast<double>(count));
}

// One write(2) of a Uint8Array or of a text.
Napi::Value Write(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  int fd = ToInt(info[0]);
  ssize_t count;
  if (info[1].IsString()) {
    std::string text = info[1].As<Napi::String>().Utf8Value();
    count = Retry([&] { return write(fd, text.data(), text.size()); });
  } else {
    Napi::Uint8Array array = info[1].As<Napi::Uint8Array>();
    if (env.IsExceptionPending()) return env.Undefined();
    count = Retry([&] { return write(fd, array.Data(), array.ByteLength()); });
  }
  if (count < 0) return Throw(env, errno, "write");
  return Napi::Number::New(env, static_cast<double>(count));
}

// 0 or an errno.
int ReadAll(int fd, std::string *content) {
  struct stat stat;
  if (fstat(fd, &stat) != 0) return errno;
  size_t known = S_ISREG(stat.st_mode) && stat.st_size > 0 ? static_cast<size_t>(stat.st_size) : 0;
  for (;;) {
    size_t done = content->size();
    // One byte more than there should be: so the end is seen without growing.
    content->resize(done + (known > done ? known - done + 1 : kChunk));
    ssize_t count = Retry([&] { return read(fd, &(*content)[done], content->size() - done); });
    if (count < 0) return errno;
    content->resize(done + static_cast<size_t>(count));
    if (count == 0) return 0;
  }
}

bool IsMissing(int error) { return error == ENOENT || error == ENOTDIR; }

// Of a path or an open descriptor, from where that stands; as text in UTF-8 or Latin-1, or as bytes. With `optional`,
// undefined if there is no such file.
Napi::Value ReadFile(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  std::string encoding = info[1].As<Napi::String>().Utf8Value();
  std::string content;
  if (info[0].IsNumber()) {
    int error = ReadAll(ToInt(info[0]), &content);
    if (error != 0) return Throw(env, error, "read");
  } else {
    Path path(info[0]);
    if (env.IsExceptionPending()) return env.Undefined();
    if (!path.ok()) return ThrowFor(env, EINVAL, "open", path);
    bool optional = info[2].As<Napi::Boolean>().Value();
    Descriptor fd(Retry([&] { return open(path.c_str(), O_RDONLY | O_NOCTTY | O_CLOEXEC); }));
    if (fd.get() < 0 && optional && IsMissing(errno)) return env.Undefined();
    if (fd.get() < 0) return ThrowFor(env, errno, "open", path);
    int error = ReadAll(fd.get(), &content);
    if (error != 0) return ThrowFor(env, error, "read", path);
  }
  if (encoding == "utf8") return Napi::String::New(env, content);
  if (encoding == "latin1") {
    napi_value text;
    if (napi_create_string_latin1(env, content.data(), content.size(), &text) != napi_ok) {
      return Throw(env, ENOMEM, "read");
    }
    return Napi::Value(env, text);
  }
  return Napi::Buffer<char>::Copy(env, content.data(), content.size());
}

// All of a Uint8Array or a text.
Napi::Value WriteFile(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  Path path(info[0]);
  int flags = ToInt(info[2]);
  int mode = ToInt(info[3]);
  std::string text;
  const char *from;
  size_t left;
  if (info[1].IsString()) {
    text = info[1].As<Napi::String>().Utf8Value();
    from = text.data();
    left = text.size();
  } else {
    Napi::Uint8Array array = info[1].As<Napi::Uint8Array>();
    if (env.IsExceptionPending()) return env.Undefined();
    from = reinterpret_cast<const char *>(array.Data());
    left = array.ByteLength();
  }
  if (env.IsExceptionPending()) return env.Undefined();
  if (!path.ok()) return ThrowFor(env, EINVAL, "open", path);
  Descriptor fd(Retry([&] { return open(path.c_str(), flags | O_CLOEXEC, mode); }));
  if (fd.get() < 0) return ThrowFor(env, errno, "open", path);
  while (left > 0) {
    ssize_t count = Retry([&] { return write(fd.get(), from, left); });
    if (count < 0) return ThrowFor(env, errno, "write", path);
    from += count;
    left -= static_cast<size_t>(count);
  }
  return env.Undefined();
}

// With the folders above that are missing; one that is there is fine.
int MakeFolders(const std::string &path, mode_t mode) {
  if (mkdir(path.c_str(), mode) == 0) return 0;
  if (errno == ENOENT) {
    size_t slash = path.find_last_not_of('/');
    slash = slash == std::string::npos ? slash : path.rfind('/', slash);
    if (slash == std::string::npos || slash == 0) return ENOENT;
    int error = MakeFolders(path.substr(0, slash), mode);
    if (error != 0) return error;
    if (mkdir(path.c_str(), mode) == 0) return 0;
  }
  int error = errno;
  struct stat there;
  return error == EEXIST && stat(path.c_str(), &there) == 0 && S_ISDIR(there.st_mode) ? 0 : error;
}

Napi::Value MakeFolder(const Napi::CallbackInfo &info) {
  mode_t mode = static_cast<mode_t>(ToInt(info[1]));
  bool recursive = info[2].As<Napi::Boolean>().Value();
  return OnPath(info, "mkdir", [&](const char *path) {
    if (!recursive) return mkdir(path, mode);
    errno = MakeFolders(path, mode);
    return errno == 0 ? 0 : -1;
  });
}

Napi::Value RemoveFolder(const Napi::CallbackInfo &info) {
  return OnPath(info, "rmdir", [](const char *path) { return rmdir(path); });
}

Napi::Value Unlink(const Napi::CallbackInfo &info) {
  return OnPath(info, "unlink", [](const char *path) { return unlink(path); });
}

Napi::Value Access(const Napi::CallbackInfo &info) {
  int mode = ToInt(info[1]);
  return OnPath(info, "access", [&](const char *path) { return access(path, mode); });
}

Napi::Value Exists(const Napi::CallbackInfo &info) {
  Path path(info[0]);
  return Napi::Boolean::New(info.Env(), path.ok() && access(path.c_str(), F_OK) == 0);
}

Napi::Value Rename(const Napi::CallbackInfo &info) {
  Path to(info[1]);
  if (!to.ok()) return ThrowFor(info.Env(), EINVAL, "rename", to);
  return OnPath(info, "rename", [&](const char *path) { return rename(path, to.c_str()); });
}

Napi::Value Symlink(const Napi::CallbackInfo &info) {
  Path target(info[1]);
  if (!target.ok()) return ThrowFor(info.Env(), EINVAL, "symlink", target);
  return OnPath(info, "symlink", [&](const char *path) { return symlink(target.c_str(), path); });
}

// With `optional`, undefined if there is no such file.
Napi::Value ReadLink(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  Path path(info[0]);
  if (env.IsExceptionPending()) return env.Undefined();
  if (!path.ok()) return ThrowFor(env, EINVAL, "readlink", path);
  bool optional = info[1].As<Napi::Boolean>().Value();
  char target[PATH_MAX];
  ssize_t length = readlink(path.c_str(), target, sizeof target);
  if (length >= 0) return Napi::String::New(env, target, static_cast<size_t>(length));
  if (optional && IsMissing(errno)) return env.Undefined();
  return ThrowFor(env, errno, "readlink", path);
}

Napi::Value RealPath(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  Path path(info[0]);
  if (env.IsExceptionPending()) return env.Undefined();
  if (!path.ok()) return ThrowFor(env, EINVAL, "realpath", path);
  char resolved[PATH_MAX];
  if (realpath(path.c_str(), resolved) == nullptr) return ThrowFor(env, errno, "realpath", path);
  return Napi::String::New(env, resolved);
}

bool IsFolder(DIR *folder, const struct dirent *entry) {
  if (entry->d_type != DT_UNKNOWN) return entry->d_type == DT_DIR;
  struct stat stat;
  return fstatat(dirfd(folder), entry->d_name, &stat, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(stat.st_mode);
}

// The names in it, but for "." and "..", in the order of the file system; or of the folders in it alone.
Napi::Value ReadFolder(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  Path path(info[0]);
  if (env.IsExceptionPending()) return env.Undefined();
  if (!path.ok()) return ThrowFor(env, EINVAL, "scandir", path);
  bool folders_only = info[1].As<Napi::Boolean>().Value();
  DIR *folder = opendir(path.c_str());
  if (folder == nullptr) return ThrowFor(env, errno, "scandir", path);
  Napi::Array names = Napi::Array::New(env);
  uint32_t count = 0;
  int error;
  for (;;) {
    errno = 0;
    struct dirent *entry = readdir(folder);
    error = errno;
    if (entry == nullptr) break;
    std::string name = entry->d_name;
    if (name == "." || name == ".." || (folders_only && !IsFolder(folder, entry))) continue;
    names.Set(count++, Napi::String::New(env, name));
  }
  closedir(folder);
  if (error != 0) return ThrowFor(env, error, "scandir", path);
  return names;
}

Napi::Value StatObject(Napi::Env env, const struct stat &stat) {
  Napi::Object object = Napi::Object::New(env);
  auto set = [&](const char *name, double value) { object.Set(name, Napi::Number::New(env, value)); };
  set("dev", static_cast<double>(stat.st_dev));
  set("ino", static_cast<double>(stat.st_ino));
  set("mode", stat.st_mode);
  set("nlink", static_cast<double>(stat.st_nlink));
  set("uid", stat.st_uid);
  set("gid", stat.st_gid);
  set("rdev", static_cast<double>(stat.st_rdev));
  set("size", static_cast<double>(stat.st_size));
  set("mtimeSeconds", static_cast<double>(stat.st_mtim.tv_sec));
  set("mtimeNanoseconds", static_cast<double>(stat.st_mtim.tv_nsec));
  set("blocks", static_cast<double>(stat.st_blocks));
  // Numbers of inodes and times in nanoseconds are more than a double holds.
  object.Set("inode", std::to_string(stat.st_dev) + ":" + std::to_string(stat.st_ino));
  object.Set("ctimeNs", std::to_string(int64_t{stat.st_ctim.tv_sec} * 1000000000 + stat.st_ctim.tv_nsec));
  return object;
}

// Links are followed. With `optional`, undefined if there is no such file.
Napi::Value Stat(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  Path path(info[0]);
  if (env.IsExceptionPending()) return env.Undefined();
  if (!path.ok()) return ThrowFor(env, EINVAL, "stat", path);
  bool optional = info[1].As<Napi::Boolean>().Value();
  struct stat result;
  if (stat(path.c_str(), &result) == 0) return StatObject(env, result);
  if (optional && IsMissing(errno)) return env.Undefined();
  return ThrowFor(env, errno, "stat", path);
}

Napi::Value StatDescriptor(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  struct stat result;
  if (fstat(ToInt(info[0]), &result) != 0) return Throw(env, errno, "fstat");
  return StatObject(env, result);
}

// Its times become now.
Napi::Value Touch(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  if (futimens(ToInt(info[0]), nullptr) != 0) return Throw(env, errno, "futimens");
  return env.Undefined();
}

// The kind of file system: a number of linux/magic.h.
Napi::Value StatFs(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  Path path(info[0]);
  if (env.IsExceptionPending()) return env.Undefined();
  if (!path.ok()) return ThrowFor(env, EINVAL, "statfs", path);
  struct statfs result;
  if (Retry([&] { return statfs(path.c_str(), &result); }) != 0) return ThrowFor(env, errno, "statfs", path);
  return Napi::Number::New(env, static_cast<double>(result.f_type));
}

}  // namespace

void ExportPosix(Napi::Env env, Napi::Object exports) {
  exports.Set("open", Napi::Function::New<Open>(env, "open"));
  exports.Set("close", Napi::Function::New<Close>(env, "close"));
  exports.Set("read", Napi::Function::New<Read>(env, "read"));
  exports.Set("write", Napi::Function::New<Write>(env, "write"));
  exports.Set("readFile", Napi::Function::New<ReadFile>(env, "readFile"));
  exports.Set("writeFile", Napi::Function::New<WriteFile>(env, "writeFile"));
  exports.Set("mkdir", Napi::Function::New<MakeFolder>(env, "mkdir"));
  exports.Set("rmdir", Napi::Function::New<RemoveFolder>(env, "rmdir"));
  exports.Set("unlink", Napi::Function::New<Unlink>(env, "unlink"));
  exports.Set("access", Napi::Function::New<Access>(env, "access"));
  exports.Set("exists", Napi::Function::New<Exists>(env, "exists"));
  exports.Set("rename", Napi::Function::New<Rename>(env, "rename"));
  exports.Set("symlink", Napi::Function::New<Symlink>(env, "symlink"));
  exports.Set("readlink", Napi::Function::New<ReadLink>(env, "readlink"));
  exports.Set("realpath", Napi::Function::New<RealPath>(env, "realpath"));
  exports.Set("readdir", Napi::Function::New<ReadFolder>(env, "readdir"));
  exports.Set("stat", Napi::Function::New<Stat>(env, "stat"));
  exports.Set("fstat", Napi::Function::New<StatDescriptor>(env, "fstat"));
  exports.Set("touch", Napi::Function::New<Touch>(env, "touch"));
  exports.Set("statfs", Napi::Function::New<StatFs>(env, "statfs"));
}

}  // namespace runnc
