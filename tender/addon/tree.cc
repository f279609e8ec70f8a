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
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <iterator>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "error.h"

namespace runnc {
namespace {

// A descriptor stays open for each level while the levels below it wait.
constexpr unsigned kMaxDepth = 512;

// One entry; `name_length` bytes of name and `target_length` bytes of a link's target follow, then zeros up to a
// multiple of 8. src/rootfs/tree.ts reads it.
struct Record {
  uint64_t dev, ino, size, rdev;  // not st_blocks: it changes when the disk gets to see what was written
  int64_t mtime_ns, ctime_ns;
  uint32_t mode, uid, gid, nlink;
  uint32_t depth;  // 0: the root itself, whose name is empty
  uint32_t flags;
  uint16_t name_length, target_length;
  uint32_t reserved;
};
static_assert(sizeof(Record) == 80, "src/rootfs/tree.ts counts on it");

// overlayfs: this folder hides what lower layers have in it.
constexpr uint32_t kOpaque = 1;
// overlayfs: the name or the data of this entry is elsewhere (redirect, metacopy, nested whiteouts).
constexpr uint32_t kIndirect = 2;

// A file system of the kernel's own is mounted on this folder: what is in it was not looked at.
constexpr uint32_t kKernelFs = 4;

// A folder and what is in it: records in the order of names, interrupted by the folders below.
struct Folder {
  std::shared_ptr<Descriptor> parent;  // null: the root of the scan
  std::string name;
  std::string path;  // for errors
  unsigned depth = 0;
  dev_t parent_dev = 0;
  struct Part {
    std::vector<uint8_t> records;
    std::unique_ptr<Folder> then;  // null in the last part
  };
  std::vector<Part> parts;
};

// Looking at a large tree is all system calls, so threads share it: each takes a folder that nobody has looked at yet.
// The last one that was found is the first one taken, which bounds the descriptors that are open by the depth.
struct Scan {
  int root = -1;
  bool overlay = false;
  bool targets = false;

  std::mutex mutex;
  std::condition_variable changed;
  std::vector<Folder *> waiting;
  unsigned busy = 0;  // threads that may still find folders
  bool failed = false;
  std::string path;
  const char *syscall = nullptr;
  int error = 0;
};

// More would only wait for each other, and a scan is not the only thing that goes on.
constexpr unsigned kMaxThreads = 4;
// A tree with fewer folders than this waiting is done before another thread has begun.
constexpr size_t kWorthAThread = 32;

int64_t Nanoseconds(const struct timespec &time) { return time.tv_sec * INT64_C(1000000000) + time.tv_nsec; }

// The first error is the one that is reported; it ends the scan.
bool Fail(Scan *scan, const std::string &path, const char *syscall) {
  int error = errno;
  std::lock_guard<std::mutex> lock(scan->mutex);
  if (scan->failed) return false;
  scan->failed = true;
  scan->path = path;
  scan->syscall = syscall;
  scan->error = error;
  return false;
}

// "trusted." is what root's mounts use, "user." those of user namespaces (overlayfs option userxattr).
uint32_t OverlayFlags(const char *path, bool folder) {
  char value[2];
  // Nearly every file has none: one call instead of many. A list that does not fit is taken to hold some.
  char names[1024];
  ssize_t length = llistxattr(path, names, sizeof names);
  if (length >= 0 && memmem(names, static_cast<size_t>(length), ".overlay.", 9) == nullptr) return 0;
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

void Append(std::vector<uint8_t> *records, const struct stat &stat, unsigned depth, uint32_t flags, const std::string &name,
            const std::string &target) {
  Record record = {};
  record.dev = stat.st_dev;
  record.ino = stat.st_ino;
  // The size of a folder is the file system's own affair.
  record.size = S_ISDIR(stat.st_mode) ? 0 : static_cast<uint64_t>(stat.st_size);
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
  std::vector<uint8_t> &out = *records;
  const uint8_t *bytes = reinterpret_cast<const uint8_t *>(&record);
  out.insert(out.end(), bytes, bytes + sizeof record);
  out.insert(out.end(), name.begin(), name.end());
  out.insert(out.end(), target.begin(), target.end());
  out.resize((out.size() + 7) & ~static_cast<size_t>(7));
}

// Names in the order of their bytes, so that equal trees give equal records whatever order a file system lists in.
bool ListNames(Scan *scan, const Folder &folder, int fd, std::vector<std::string> *names) {
  alignas(struct dirent64) char buffer[32 * 1024];
  for (;;) {
    ssize_t length = getdents64(fd, buffer, sizeof buffer);
    if (length < 0) return Fail(scan, folder.path, "getdents64");
    if (length == 0) break;
    for (ssize_t at = 0; at < length;) {
      const struct dirent64 *entry = reinterpret_cast<const struct dirent64 *>(buffer + at);
      if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) names->emplace_back(entry->d_name);
      at += entry->d_reclen;
    }
  }
  std::sort(names->begin(), names->end());
  return true;
}

bool ReadTarget(int folder, const std::string &name, std::string *target) {
  char buffer[PATH_MAX];
  ssize_t length = readlinkat(folder, name.c_str(), buffer, sizeof buffer);
  if (length < 0) return false;
  target->assign(buffer, static_cast<size_t>(length));
  return true;
}

std::string FdPath(int fd) { return "/proc/self/fd/" + std::to_string(fd); }

// File systems that hold no files of anybody's but show, and change, the state of the host's kernel (linux/magic.h).
bool IsKernelFs(int fd) {
  static const uint32_t kMagics[] = {
      0x9fa0,      // proc
      0x62656572,  // sysfs
      0x27e0eb,    // cgroup
      0x63677270,  // cgroup2
      0x1cd1,      // devpts
      0x19800202,  // mqueue
      0x64626720,  // debugfs
      0x74726163,  // tracefs
      0x73636673,  // securityfs
      0xcafe4a11,  // bpf
      0x6165676c,  // pstore
      0x42494e4d,  // binfmt_misc
      0x62656570,  // configfs
      0x65735543,  // fusectl
      0xde5e81e4,  // efivarfs
      0xf97cff8c,  // selinuxfs
      0x67596969,  // rpc_pipefs
      0x6e667364,  // nfsd
      0x0187,      // autofs
  };
  struct statfs fs;
  if (fstatfs(fd, &fs) != 0) return false;
  const uint32_t type = static_cast<uint32_t>(fs.f_type);
  return std::find(std::begin(kMagics), std::end(kMagics), type) != std::end(kMagics);
}

// Fills the folder's parts; the folders in it are added to those that wait.
bool Look(Scan *scan, Folder *folder) {
  int base = folder->parent == nullptr ? scan->root : folder->parent->get();
  const char *name = folder->parent == nullptr ? "." : folder->name.c_str();
  auto opened = std::make_shared<Descriptor>(openat(base, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  folder->parent.reset();
  int fd = opened->get();
  if (fd < 0) return Fail(scan, folder->path, "openat");
  if (folder->depth >= kMaxDepth) {
    errno = ELOOP;
    return Fail(scan, folder->path, "openat");
  }
  struct stat stat;
  if (fstat(fd, &stat) != 0) return Fail(scan, folder->path, "fstat");
  folder->parts.emplace_back();
  uint32_t own_flags = scan->overlay ? OverlayFlags((FdPath(fd) + "/.").c_str(), true) : 0;
  bool is_other = folder->depth > 0 && stat.st_dev != folder->parent_dev;
  if (is_other && IsKernelFs(fd)) {
    own_flags |= kKernelFs;
    // These are the kernel's state too: /proc has a link for each process.
    stat.st_nlink = 2;
    stat.st_mtim = stat.st_ctim = {};
  }
  Append(&folder->parts.back().records, stat, folder->depth, own_flags, folder->name, "");
  if ((own_flags & kKernelFs) != 0) return true;
  const dev_t dev = stat.st_dev;

  std::vector<std::string> names;
  if (!ListNames(scan, *folder, fd, &names)) return false;
  std::vector<Folder *> below;
  for (const std::string &child : names) {
    if (fstatat(fd, child.c_str(), &stat, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) != 0) {
      return Fail(scan, folder->path + "/" + child, "fstatat");
    }
    if (S_ISDIR(stat.st_mode)) {
      auto next = std::make_unique<Folder>();
      next->parent = opened;
      next->name = child;
      next->path = folder->path + "/" + child;
      next->depth = folder->depth + 1;
      next->parent_dev = dev;
      below.push_back(next.get());
      folder->parts.back().then = std::move(next);
      folder->parts.emplace_back();
      continue;
    }
    std::string target;
    if (scan->targets && S_ISLNK(stat.st_mode) && !ReadTarget(fd, child, &target)) {
      return Fail(scan, folder->path + "/" + child, "readlinkat");
    }
    uint32_t flags = scan->overlay ? OverlayFlags((FdPath(fd) + "/" + child).c_str(), false) : 0;
    Append(&folder->parts.back().records, stat, folder->depth + 1, flags, child, target);
  }
  if (below.empty()) return true;
  std::lock_guard<std::mutex> lock(scan->mutex);
  scan->waiting.insert(scan->waiting.end(), below.rbegin(), below.rend());
  scan->changed.notify_all();
  return true;
}

// Looks at folders until none is left. `stop_at` folders waiting: enough for others, who are to be called first.
void Work(Scan *scan, size_t stop_at) {
  std::unique_lock<std::mutex> lock(scan->mutex);
  for (;;) {
    scan->changed.wait(lock, [scan] { return !scan->waiting.empty() || scan->busy == 0 || scan->failed; });
    if (scan->failed || scan->waiting.empty() || scan->waiting.size() >= stop_at) return;
    Folder *folder = scan->waiting.back();
    scan->waiting.pop_back();
    scan->busy++;
    lock.unlock();
    Look(scan, folder);
    lock.lock();
    if (--scan->busy == 0 || scan->failed) scan->changed.notify_all();
  }
}

void Collect(const Folder &folder, std::vector<uint8_t> *out) {
  for (const Folder::Part &part : folder.parts) {
    out->insert(out->end(), part.records.begin(), part.records.end());
    if (part.then != nullptr) Collect(*part.then, out);
  }
}

// Of all records. Reading them in JavaScript, which a short call never compiles, would take longer than the scan.
struct Summary {
  int64_t latest_change_ns = INT64_MIN;
  uint64_t entries = 0;
  double file_bytes = 0;  // sizes of regular files, each link counted: sparse ones may be more than 2^64 together
  uint32_t flags = 0;       // of any entry
};

Summary Summarise(const std::vector<uint8_t> &records) {
  Summary sum;
  for (size_t at = 0; at < records.size();) {
    Record record;
    memcpy(&record, records.data() + at, sizeof record);
    sum.latest_change_ns = std::max(sum.latest_change_ns, record.ctime_ns);
    sum.entries++;
    if (S_ISREG(record.mode)) sum.file_bytes += static_cast<double>(record.size);
    sum.flags |= record.flags;
    at += (sizeof record + record.name_length + record.target_length + 7) & ~static_cast<size_t>(7);
  }
  return sum;
}

Napi::Value ScanTree(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  Scan scan;
  scan.root = ToInt(info[0]);
  scan.overlay = info[1].As<Napi::Boolean>().Value();
  scan.targets = info[2].As<Napi::Boolean>().Value();
  if (env.IsExceptionPending()) return env.Undefined();

  Folder folder;
  scan.waiting.push_back(&folder);
  Work(&scan, kWorthAThread);
  if (!scan.failed && !scan.waiting.empty()) {
    std::vector<std::thread> others;
    unsigned threads = std::min(kMaxThreads, std::thread::hardware_concurrency());
    for (unsigned i = 1; i < threads; i++) others.emplace_back(Work, &scan, SIZE_MAX);
    Work(&scan, SIZE_MAX);
    for (std::thread &other : others) other.join();
  }
  if (scan.failed) {
    Napi::Error error = SystemError(env, scan.error, scan.syscall);
    error.Set("path", Napi::Buffer<char>::Copy(env, scan.path.data(), scan.path.size()));
    error.ThrowAsJavaScriptException();
    return env.Undefined();
  }
  std::vector<uint8_t> out;
  Collect(folder, &out);
  Napi::Object result = Napi::Object::New(env);
  result.Set("records", Napi::Buffer<uint8_t>::Copy(env, out.data(), out.size()));
  const Summary sum = Summarise(out);
  result.Set("latestChangeNs", Napi::BigInt::New(env, sum.latest_change_ns));
  result.Set("entries", Napi::Number::New(env, static_cast<double>(sum.entries)));
  result.Set("fileBytes", Napi::Number::New(env, sum.file_bytes));
  result.Set("isIndirect", Napi::Boolean::New(env, (sum.flags & kIndirect) != 0));
  result.Set("hasKernelFs", Napi::Boolean::New(env, (sum.flags & kKernelFs) != 0));
  return result;
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
  exports.Set("scanTree", Napi::Function::New<ScanTree>(env, "scanTree"));
  exports.Set("nextData", Napi::Function::New<NextData>(env, "nextData"));
}

}  // namespace runnc
