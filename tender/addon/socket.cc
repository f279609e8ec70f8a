// UNIX sockets: made, connected by folder descriptor, and the messages with descriptors that go over them.
#include "socket.h"

#include <fcntl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "error.h"

namespace runnc {
namespace {

// The kernel's limit, SCM_MAX_FD.
constexpr size_t kMaxDescriptors = 253;
constexpr size_t kMaxMessageBytes = 64 * 1024;

Napi::Value MakePair(Napi::Env env, bool pass_credentials) {
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0) return Throw(env, errno, "socketpair");
  Descriptor ours(fds[0]), theirs(fds[1]);
  int on = 1;
  if (pass_credentials && setsockopt(ours.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0) {
    return Throw(env, errno, "setsockopt");
  }
  Napi::Array result = Napi::Array::New(env, 2);
  result.Set(0u, Napi::Number::New(env, ours.release()));
  result.Set(1u, Napi::Number::New(env, theirs.release()));
  return result;
}

Napi::Value SocketPair(const Napi::CallbackInfo &info) {
  return MakePair(info.Env(), true);
}

Napi::Value ChannelPair(const Napi::CallbackInfo &info) {
  return MakePair(info.Env(), false);
}

// To read from, to write to; with room for that many bytes, if the user may have it.
Napi::Value PipePair(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) return Throw(env, errno, "pipe2");
  Descriptor out(fds[0]), in(fds[1]);
  (void)fcntl(in.get(), F_SETPIPE_SZ, ToInt(info[0]));
  Napi::Array result = Napi::Array::New(env, 2);
  result.Set(0u, Napi::Number::New(env, out.release()));
  result.Set(1u, Napi::Number::New(env, in.release()));
  return result;
}

// False if `name` is no plain file name or too long. A path of /proc is short whatever the folder's own path is.
bool AddressIn(int folder, const std::string &name, struct sockaddr_un *address) {
  memset(address, 0, sizeof *address);
  address->sun_family = AF_UNIX;
  if (name.empty() || name.find('/') != std::string::npos || name.find('\0') != std::string::npos) return false;
  int length = snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d/%s", folder, name.c_str());
  return length > 0 && static_cast<size_t>(length) < sizeof address->sun_path;
}

Napi::Value ListenUnix(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  struct sockaddr_un address;
  if (!AddressIn(ToInt(info[0]), info[1].As<Napi::String>().Utf8Value(), &address)) return Throw(env, EINVAL, "bind");
  Descriptor fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (fd.get() < 0) return Throw(env, errno, "socket");
  if (bind(fd.get(), reinterpret_cast<struct sockaddr *>(&address), sizeof address) != 0) {
    return Throw(env, errno, "bind");
  }
  if (listen(fd.get(), 16) != 0) return Throw(env, errno, "listen");
  return Napi::Number::New(env, fd.release());
}

Napi::Value ConnectUnix(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  struct sockaddr_un address;
  if (!AddressIn(ToInt(info[0]), info[1].As<Napi::String>().Utf8Value(), &address)) return Throw(env, EINVAL, "connect");
  Descriptor fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (fd.get() < 0) return Throw(env, errno, "socket");
  while (connect(fd.get(), reinterpret_cast<struct sockaddr *>(&address), sizeof address) != 0) {
    if (errno != EINTR) return Throw(env, errno, "connect");
  }
  return Napi::Number::New(env, fd.release());
}

Napi::Value SendMessage(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  Napi::Uint8Array data = info[1].As<Napi::Uint8Array>();
  std::vector<int> fds = ToInts(info[2]);
  if (env.IsExceptionPending()) return env.Undefined();
  if (data.ByteLength() == 0 || fds.size() > kMaxDescriptors) return Throw(env, EINVAL, "sendmsg");

  alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxDescriptors)] = {};
  struct iovec part = {data.Data(), data.ByteLength()};
  struct msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!fds.empty()) {
    size_t bytes = fds.size() * sizeof(int);
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(bytes);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(bytes);
    memcpy(CMSG_DATA(header), fds.data(), bytes);
  }
  // On a stream socket the rest of a long message follows without the descriptors.
  while (part.iov_len > 0) {
    ssize_t sent = sendmsg(ToInt(info[0]), &message, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return Throw(env, errno, "sendmsg");
    part.iov_base = static_cast<char *>(part.iov_base) + sent;
    part.iov_len -= static_cast<size_t>(sent);
    message.msg_control = nullptr;
    message.msg_controllen = 0;
  }
  return env.Undefined();
}

Napi::Value TryReceiveMessage(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  std::vector<uint8_t> data(kMaxMessageBytes);
  alignas(struct cmsghdr) char
      control[CMSG_SPACE(sizeof(int) * kMaxDescriptors) + CMSG_SPACE(sizeof(struct ucred))] = {};
  struct iovec part = {data.data(), data.size()};
  struct msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t length;
  do {
    length = recvmsg(ToInt(info[0]), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (length < 0 && errno == EINTR);
  if (length < 0 && errno == EAGAIN) return env.Undefined();
  // The other end died with messages of ours unread: for the reader an end like any other.
  if (length < 0 && errno == ECONNRESET) length = 0;
  if (length < 0) return Throw(env, errno, "recvmsg");

  std::vector<int> fds;
  int sender = 0;
  for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET) continue;
    if (header->cmsg_type == SCM_RIGHTS) {
      fds.resize((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
      memcpy(fds.data(), CMSG_DATA(header), fds.size() * sizeof(int));
    } else if (header->cmsg_type == SCM_CREDENTIALS) {
      struct ucred credentials;
      memcpy(&credentials, CMSG_DATA(header), sizeof credentials);
      sender = credentials.pid;
    }
  }
  if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
    for (int fd : fds) close(fd);
    return Throw(env, EMSGSIZE, "recvmsg");
  }
  Napi::Object result = Napi::Object::New(env);
  result.Set("data", Napi::Buffer<uint8_t>::Copy(env, data.data(), static_cast<size_t>(length)));
  Napi::Array list = Napi::Array::New(env, fds.size());
  for (uint32_t i = 0; i < fds.size(); i++) list.Set(i, Napi::Number::New(env, fds[i]));
  result.Set("fds", list);
  if (sender != 0) result.Set("senderPid", Napi::Number::New(env, sender));
  return result;
}

}  // namespace

void ExportSocket(Napi::Env env, Napi::Object exports) {
  exports.Set("socketPair", Napi::Function::New<SocketPair>(env, "socketPair"));
  exports.Set("channelPair", Napi::Function::New<ChannelPair>(env, "channelPair"));
  exports.Set("pipePair", Napi::Function::New<PipePair>(env, "pipePair"));
  exports.Set("listenUnix", Napi::Function::New<ListenUnix>(env, "listenUnix"));
  exports.Set("connectUnix", Napi::Function::New<ConnectUnix>(env, "connectUnix"));
  exports.Set("sendMessage", Napi::Function::New<SendMessage>(env, "sendMessage"));
  exports.Set("tryReceiveMessage", Napi::Function::New<TryReceiveMessage>(env, "tryReceiveMessage"));
}

}  // namespace runnc
