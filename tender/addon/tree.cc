// Folders of hostile content: every entry of a tree with what lstat(2) says, without following any link.
//
// Each folder is opened relative to its parent's descriptor with O_NOFOLLOW, so whatever is renamed or replaced in the
// meantime, nothing outside of the tree is ever looked at. Nothing but folders is opened.
#include "tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "error.h"

namespace runnc {
namespace {

// Each level holds a descriptor while the levels below it are read.
constexpr unsigned kMaxDepth = 512;

// One entry; `name_length` bytes of name and `target_length` bytes of a link's target follow, then zeros up to a
// multiple of 8. src/rootfs/tree.ts reads it.
struct Record {
  uint64_t dev, ino, size, blocks, rdev;
  int64_t mtime_ns, ctime_ns;
  uint32_t mode, uid, gid, nlink;
  uint32_t depth;  // 0: the root itself, whose name is empty
  uint32_t flags;
  uint16_t name_length, target_length;
  uint32_t reserved;
};
static_assert(sizeof(Record) == 88, "src/rootfs/tree.ts counts on it");

// overlayfs: this folder hides what lower layers have in it.
constexpr uint32_t kOpaque = 1;
// overlayfs: the name or the data of this entry is elsewhere (redirect, metacopy, nested whiteouts).
constexpr uint32_t kIndirect = 2;

struct Scan {
  std::vector<uint8_t> out;
  bool overlay;
  // Of the entry that failed: errno would not outlive the descriptors that are closed on the way out.
  std::string path;
  const char *syscall = nullptr;
  int error = 0;
};

int64_t Nanoseconds(const struct timespec &time) { return time.tv_sec * INT64_C(1000000000) + time.tv_nsec; }

bool Fail(Scan *scan, const char *syscall) {
  scan->syscall = syscall;
  scan->error = errno;
  return false;
}

// "trusted." is what root's mounts use, "user." those of user namespaces (overlayfs option userxattr).
uint32_t OverlayFlags(const char *path, bool folder) {
  char value[2];
  uint32_t flags = 0;
  for (const char *prefix : {"trusted.overlay.", "user.overlay."}) {
    std::string name = prefix;
    if (folder) {
      ssize_t length = lgetxattr(path, (name + "opaque").c_str(), value, sizeof value);
      if (length == 1 && value[0] == 'y') flags |= kOpaque;
      if (length == 1 && value[0] == 'x') flags |= kIndirect;
      if (lgetxattr(path, (name + "redirect").c_str(), nullptr, 0) >= 0) flags |= kIndirect;
    } else {
      if (lgetxattr(path, (name + "metacopy").c_str(), nullptr, 0) >= 0) flags |= kIndirect;
      if (lgetxattr(path, (name + "redirect").c_str(), nullptr, 0) >= 0) flags |= kIndirect;
      if (lgetxattr(path, (name + "whiteout").c_str(), nullptr, 0) >= 0) flags |= kIndirect;
    }
  }
  return flags;
}

void Append(Scan *scan, const struct stat &stat, unsigned depth, uint32_t flags, const std::string &name,
            const std::string &target) {
  Record record = {};
  record.dev = stat.st_dev;
  record.ino = stat.st_ino;
  // The size of a folder is the file system's own affair.
  record.size = S_ISDIR(stat.st_mode) ? 0 : static_cast<uint64_t>(stat.st_size);
  record.blocks = S_ISDIR(stat.st_mode) ? 0 : static_cast<uint64_t>(stat.st_blocks);
  record.rdev = stat.st_rdev;
  record.mtime_ns = Nanoseconds(stat.st_mtim);
  record.ctime_ns = Nanoseconds(stat.st_ctim);
  record.mode = stat.st_mode;
  record.uid = stat.st_uid;
  record.gid = stat.st_gid;
  record.nlink = static_cast<uint32_t>(stat.st_nlink);
  record.depth = depth;
  record.flags = flags;
  record.name_length = static_cast<uint16_t>(name.size());
  record.target_length = static_cast<uint16_t>(target.size());
  std::vector<uint8_t> &out = scan->out;
  const uint8_t *bytes = reinterpret_cast<const uint8_t *>(&record);
  out.insert(out.end(), bytes, bytes + sizeof record);
  out.insert(out.end(), name.begin(), name.end());
  out.insert(out.end(), target.begin(), target.end());
  out.resize((out.size() + 7) & ~static_cast<size_t>(7));
}

// Names in the order of their bytes, so that equal trees give equal records whatever order a file system lists in.
bool ListNames(Scan *scan, int fd, std::vector<std::string> *names) {
  // fdopendir takes the descriptor over; the walk still needs its own.
  int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (own < 0) return Fail(scan, "fcntl");
  DIR *stream = fdopendir(own);
  if (stream == nullptr) {
    close(own);
    return Fail(scan, "fdopendir");
  }
  for (;;) {
    errno = 0;
    const struct dirent *entry = readdir(stream);
    if (entry == nullptr) break;
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) names->emplace_back(entry->d_name);
  }
  int error = errno;
  closedir(stream);
  errno = error;
  if (error != 0) return Fail(scan, "getdents64");
  std::sort(names->begin(), names->end());
  return true;
}

bool ReadTarget(Scan *scan, int folder, const std::string &name, std::string *target) {
  char buffer[PATH_MAX];
  ssize_t length = readlinkat(folder, name.c_str(), buffer, sizeof buffer);
  if (length < 0) return Fail(scan, "readlinkat");
  target->assign(buffer, static_cast<size_t>(length));
  return true;
}

std::string FdPath(int fd) { return "/proc/self/fd/" + std::to_string(fd); }

// Appends the folder that is open as `fd`, then everything in it, depth first.
bool Walk(Scan *scan, int fd, const std::string &name, unsigned depth) {
  struct stat stat;
  if (fstat(fd, &stat) != 0) return Fail(scan, "fstat");
  Append(scan, stat, depth, scan->overlay ? OverlayFlags((FdPath(fd) + "/.").c_str(), true) : 0, name, "");
  if (depth >= kMaxDepth) {
    errno = ELOOP;
    return Fail(scan, "openat");
  }
  std::vector<std::string> names;
  if (!ListNames(scan, fd, &names)) return false;

  for (const std::string &child : names) {
    size_t parent_length = scan->path.size();
    scan->path += "/" + child;
    if (fstatat(fd, child.c_str(), &stat, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) != 0) return Fail(scan, "fstatat");
    if (S_ISDIR(stat.st_mode)) {
      Descriptor folder(openat(fd, child.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      if (folder.get() < 0) return Fail(scan, "openat");
      if (!Walk(scan, folder.get(), child, depth + 1)) return false;
    } else {
      std::string target;
      if (S_ISLNK(stat.st_mode) && !ReadTarget(scan, fd, child, &target)) return false;
      uint32_t flags = scan->overlay ? OverlayFlags((FdPath(fd) + "/" + child).c_str(), false) : 0;
      Append(scan, stat, depth + 1, flags, child, target);
    }
    scan->path.resize(parent_length);
  }
  return true;
}

Napi::Value ScanTree(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  int root = ToInt(info[0]);
  Scan scan;
  scan.overlay = info[1].As<Napi::Boolean>().Value();
  if (env.IsExceptionPending()) return env.Undefined();

  // Opened anew: the caller's descriptor may be O_PATH, and its file position is not ours.
  Descriptor folder(openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  bool ok = folder.get() >= 0 ? Walk(&scan, folder.get(), "", 0) : Fail(&scan, "openat");
  if (!ok) {
    Napi::Error error = SystemError(env, scan.error, scan.syscall);
    error.Set("path", Napi::Buffer<char>::Copy(env, scan.path.data(), scan.path.size()));
    error.ThrowAsJavaScriptException();
    return env.Undefined();
  }
  return Napi::Buffer<uint8_t>::Copy(env, scan.out.data(), scan.out.size());
}

// [start, end) of the next bytes of a sparse file that are not a hole; undefined behind the last.
Napi::Value NextData(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  int fd = ToInt(info[0]);
  off_t offset = static_cast<off_t>(info[1].As<Napi::Number>().Int64Value());
  if (env.IsExceptionPending()) return env.Undefined();

  off_t start = lseek(fd, offset, SEEK_DATA);
  if (start < 0 && errno == ENXIO) return env.Undefined();
  off_t end = start < 0 ? -1 : lseek(fd, start, SEEK_HOLE);
  if (end < 0) return Throw(env, errno, "lseek");
  Napi::Array range = Napi::Array::New(env, 2);
  range.Set(0u, Napi::Number::New(env, static_cast<double>(start)));
  range.Set(1u, Napi::Number::New(env, static_cast<double>(end)));
  return range;
}

}  // namespace

void ExportTree(Napi::Env env, Napi::Object exports) {
  exports.Set("scanTree", Napi::Function::New(env, ScanTree));
  exports.Set("nextData", Napi::Function::New(env, NextData));
}

}  // namespace runnc
