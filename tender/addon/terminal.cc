// Terminals: raw mode, size, and the relay between the caller's terminal and a container's.
#include "terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "error.h"
#include "poller.h"

namespace runnc {
namespace {

Napi::Value MakeRaw(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  int fd = ToInt(info[0]);
  struct termios settings = {};
  if (tcgetattr(fd, &settings) != 0) return Throw(env, errno, "tcgetattr");
  Napi::Value before =
      Napi::Buffer<uint8_t>::Copy(env, reinterpret_cast<const uint8_t *>(&settings), sizeof settings);
  cfmakeraw(&settings);
  if (tcsetattr(fd, TCSANOW, &settings) != 0) return Throw(env, errno, "tcsetattr");
  return before;
}

Napi::Value RestoreTerminal(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  Napi::Uint8Array bytes = info[1].As<Napi::Uint8Array>();
  struct termios settings = {};
  if (bytes.ByteLength() != sizeof settings) return Throw(env, EINVAL, "tcsetattr");
  memcpy(&settings, bytes.Data(), sizeof settings);
  if (tcsetattr(ToInt(info[0]), TCSADRAIN, &settings) != 0) return Throw(env, errno, "tcsetattr");
  return env.Undefined();
}

Napi::Value GetWindowSize(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  struct winsize size;
  if (ioctl(ToInt(info[0]), TIOCGWINSZ, &size) != 0) return Throw(env, errno, "ioctl");
  Napi::Object result = Napi::Object::New(env);
  result.Set("columns", Napi::Number::New(env, size.ws_col));
  result.Set("rows", Napi::Number::New(env, size.ws_row));
  return result;
}

Napi::Value SetWindowSize(const Napi::CallbackInfo &info) {
  struct winsize size = {};
  size.ws_col = static_cast<unsigned short>(ToInt(info[1]));
  size.ws_row = static_cast<unsigned short>(ToInt(info[2]));
  if (ioctl(ToInt(info[0]), TIOCSWINSZ, &size) != 0) return Throw(info.Env(), errno, "ioctl");
  return info.Env().Undefined();
}

// One direction: what was read and is not written yet.
struct Pipe {
  char data[4096];  // PIPE_BUF: after POLLOUT a pipe takes that much without blocking.
  size_t begin = 0;
  size_t end = 0;
  bool open = true;

  bool empty() const { return begin == end; }

  // False at end of file; EIO is what a master reads when its last slave is closed.
  void Read(int fd) {
    ssize_t length = read(fd, data, sizeof data);
    if (length < 0 && (errno == EINTR || errno == EAGAIN)) return;
    begin = 0;
    end = length > 0 ? static_cast<size_t>(length) : 0;
    if (length <= 0) open = false;
  }

  void Write(int fd) {
    ssize_t length = write(fd, data + begin, end - begin);
    if (length < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (length < 0) {
      // Nobody is there to see it; the program in the container must not stand still for that.
      begin = end = 0;
      return;
    }
    begin += static_cast<size_t>(length);
  }
};

struct Relay : Completion {
  Relay(int master_, int in_, int out_) : master(master_), in(in_), out(out_) {}
  Descriptor master, in, out;
};

void RunRelay(Completion *completion) {
  Relay *relay = static_cast<Relay *>(completion);
  Pipe input, output;
  while (output.open || !output.empty()) {
    struct pollfd polled[3] = {{-1, 0, 0}, {-1, 0, 0}, {-1, 0, 0}};
    if (input.open && input.empty()) polled[0] = {relay->in.get(), POLLIN, 0};
    if (!output.empty()) polled[1] = {relay->out.get(), POLLOUT, 0};
    short master_events = 0;
    if (output.open && output.empty()) master_events |= POLLIN;
    if (!input.empty()) master_events |= POLLOUT;
    // Without events wanted, POLLHUP alone would spin.
    if (master_events != 0) polled[2] = {relay->master.get(), master_events, 0};
    if (poll(polled, 3, -1) < 0) {
      if (errno == EINTR) continue;
      relay->error = errno;
      relay->syscall = "poll";
      return;
    }
    if (polled[0].revents != 0) input.Read(relay->in.get());
    if (polled[1].revents != 0) output.Write(relay->out.get());
    if (polled[2].revents == 0) continue;
    if ((master_events & POLLIN) != 0 && (polled[2].revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
      output.Read(relay->master.get());
    }
    if ((polled[2].revents & POLLOUT) != 0 && !input.empty()) input.Write(relay->master.get());
  }
}

Napi::Value RelayTerminal(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  int master = ToInt(info[0]);
  Descriptor copies[3] = {Descriptor(fcntl(master, F_DUPFD_CLOEXEC, 3)),
                          Descriptor(fcntl(ToInt(info[1]), F_DUPFD_CLOEXEC, 3)),
                          Descriptor(fcntl(ToInt(info[2]), F_DUPFD_CLOEXEC, 3))};
  for (const Descriptor &copy : copies) {
    if (copy.get() < 0) return Throw(env, errno, "fcntl");
  }
  // The program may leave its input unread: a write to the master must not hold up its output.
  int flags = fcntl(master, F_GETFL);
  if (flags < 0 || fcntl(master, F_SETFL, flags | O_NONBLOCK) != 0) return Throw(env, errno, "fcntl");
  return RunOnThread(env, new Relay(copies[0].release(), copies[1].release(), copies[2].release()), RunRelay);
}

}  // namespace

void ExportTerminal(Napi::Env env, Napi::Object exports) {
  exports.Set("makeRaw", Napi::Function::New<MakeRaw>(env, "makeRaw"));
  exports.Set("restoreTerminal", Napi::Function::New<RestoreTerminal>(env, "restoreTerminal"));
  exports.Set("getWindowSize", Napi::Function::New<GetWindowSize>(env, "getWindowSize"));
  exports.Set("setWindowSize", Napi::Function::New<SetWindowSize>(env, "setWindowSize"));
  exports.Set("relayTerminal", Napi::Function::New<RelayTerminal>(env, "relayTerminal"));
}

}  // namespace runnc
