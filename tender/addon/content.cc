// What is in the files of a scanned tree, read into one buffer after the other: a rootfs has tens of thousands, and
// each would cost more in JavaScript than in the kernel.
//
// A file is opened by a path descriptor first, which touches neither device nor fifo; only if that is the inode that was
// scanned, unchanged, it is opened itself. So whatever was put in its place meanwhile, nothing else is ever read.
#include "content.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "error.h"

namespace runnc {
namespace {

// A part of a file that is wanted, behind some zeros. The path follows, then a NUL and zeros up to a multiple of 8.
// src/rootfs/content.ts writes it.
struct Part {
  uint64_t dev, ino, size;
  int64_t ctime_ns;
  uint64_t offset, length;  // within the size
  uint64_t zeros;           // in front of it
  uint32_t root_fd;         // the path is below
  uint32_t part_bytes;      // of this whole record
};
static_assert(sizeof(Part) == 64, "src/rootfs/content.ts counts on it");

enum Outcome {
  kDone = 0,     // the buffer is full, or there are no more parts
  kChanged = 1,  // the file is not what was scanned
  kSparse = 2,   // it may have holes, which are not to be read
};

// Where reading is: indices of the array that JavaScript keeps.
enum State { kPartOffset, kPartDone, kFilled, kStates };

struct Open {
  const Part *of = nullptr;  // the part it was opened for
  int fd = -1;
  ~Open() { Close(); }
  void Close() {
    if (fd >= 0) close(fd);
    fd = -1;
    of = nullptr;
  }
};

const char *PathOf(const Part *part) { return reinterpret_cast<const char *>(part + 1); }

bool IsSameFile(const Part &a, const Part &b) {
  return a.dev == b.dev && a.ino == b.ino && a.root_fd == b.root_fd && strcmp(PathOf(&a), PathOf(&b)) == 0;
}

// An errno, or 0 with *outcome.
int OpenPart(const Part *part, Open *open_file, Outcome *outcome) {
  *outcome = kDone;
  if (open_file->of != nullptr && IsSameFile(*open_file->of, *part)) return 0;
  open_file->Close();
  Descriptor path(openat(static_cast<int>(part->root_fd), PathOf(part), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (path.get() < 0) return errno;
  struct stat stat;
  if (fstat(path.get(), &stat) != 0) return errno;
  if (!S_ISREG(stat.st_mode) || stat.st_dev != part->dev || stat.st_ino != part->ino ||
      static_cast<uint64_t>(stat.st_size) != part->size ||
      stat.st_ctim.tv_sec * INT64_C(1000000000) + stat.st_ctim.tv_nsec != part->ctime_ns) {
    *outcome = kChanged;
    return 0;
  }
  if (static_cast<uint64_t>(stat.st_blocks) * 512 < part->size) {
    *outcome = kSparse;
    return 0;
  }
  open_file->fd = open(("/proc/self/fd/" + std::to_string(path.get())).c_str(), O_RDONLY | O_CLOEXEC);
  if (open_file->fd < 0) return errno;
  open_file->of = part;
  return 0;
}

// Reads on from state[] until the buffer is full or the parts end.
Napi::Value ReadParts(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  Napi::Uint8Array parts = info[0].As<Napi::Uint8Array>();
  Napi::Uint8Array out = info[1].As<Napi::Uint8Array>();
  Napi::Float64Array state = info[2].As<Napi::Float64Array>();
  if (state.ElementLength() != kStates) return Throw(env, EINVAL, "readParts");
  const size_t parts_bytes = parts.ByteLength(), room = out.ByteLength();
  size_t at = static_cast<size_t>(state[kPartOffset]), filled = static_cast<size_t>(state[kFilled]);
  uint64_t done = static_cast<uint64_t>(state[kPartDone]);
  Outcome outcome = kDone;
  const char *syscall = "open";
  int error = 0;

  Open file;
  while (filled < room && at < parts_bytes) {
    const Part *part = reinterpret_cast<const Part *>(parts.Data() + at);
    if (done < part->zeros) {
      size_t count = static_cast<size_t>(std::min<uint64_t>(part->zeros - done, room - filled));
      memset(out.Data() + filled, 0, count);
      filled += count;
      done += count;
      continue;
    }
    const uint64_t begun = done - part->zeros;
    if (begun == part->length) {
      at += part->part_bytes;
      done = 0;
      continue;
    }
    error = OpenPart(part, &file, &outcome);
    if (error != 0 || outcome != kDone) break;
    size_t want = static_cast<size_t>(std::min<uint64_t>(part->length - begun, room - filled));
    ssize_t got = pread(file.fd, out.Data() + filled, want, static_cast<off_t>(part->offset + begun));
    if (got < 0) {
      error = errno;
      syscall = "read";
      break;
    }
    if (got == 0) {
      outcome = kChanged;
      break;
    }
    filled += static_cast<size_t>(got);
    done += static_cast<uint64_t>(got);
  }
  state[kPartOffset] = static_cast<double>(at);
  state[kPartDone] = static_cast<double>(done);
  state[kFilled] = static_cast<double>(filled);
  if (error != 0) return Throw(env, error, syscall);
  return Napi::Number::New(env, outcome);
}

}  // namespace

void ExportContent(Napi::Env env, Napi::Object exports) {
  exports.Set("readParts", Napi::Function::New(env, ReadParts));
}

}  // namespace runnc
