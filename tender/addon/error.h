// Errors that look like those of node:fs, and the few conversions that every file here needs.
#ifndef RUNNC_ADDON_ERROR_H
#define RUNNC_ADDON_ERROR_H

#include <napi.h>

#include <string>
#include <vector>

namespace runnc {

// An Error with `code` ("ENOENT"), `errno` (negative, as in Node), `syscall` and, where one was named, `path`.
Napi::Error SystemError(Napi::Env env, int error, const char *syscall, const std::string &path = "");

// Makes that error the pending exception; the result is what the caller returns.
Napi::Value Throw(Napi::Env env, int error, const char *syscall);

int ToInt(const Napi::Value &value);

// A list of strings or numbers. `ok` turns false for a string with a NUL inside: the kernel would see less of it than
// whoever checked it.
std::vector<std::string> ToStrings(const Napi::Value &value, bool *ok);
std::vector<int> ToInts(const Napi::Value &value);

// A descriptor that is closed when it goes out of scope, unless released.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor();
  Descriptor(const Descriptor &) = delete;
  Descriptor &operator=(const Descriptor &) = delete;
  int get() const { return fd_; }
  int release() {
    int fd = fd_;
    fd_ = -1;
    return fd;
  }

 private:
  int fd_;
};

}  // namespace runnc

#endif
