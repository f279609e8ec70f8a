// A second addon, network.node, loaded only for containers that may have a network: rtnetlink through libmnl, and taps.
// Messages that describe addresses and routes are handed out as the kernel gave them, so that exactly the same can be
// given back later.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/neighbour.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>

#include "error.h"

namespace runnc {
namespace {

// libmnl's advice for dumps; the kernel never sends larger parts (NLMSG_GOODSIZE grows to 32 KiB).
constexpr size_t kReceiveBytes = 64 * 1024;
constexpr size_t kRequestBytes = 16 * 1024;

// This thread in another network namespace for as long as the object lives.
class InNamespace {
 public:
  explicit InNamespace(int fd) : own_(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)) {
    if (own_.get() < 0 || setns(fd, CLONE_NEWNET) != 0) {
      error_ = errno;
      return;
    }
    entered_ = true;
  }
  ~InNamespace() {
    // Nothing of this program may go on in somebody else's namespace.
    if (entered_ && setns(own_.get(), CLONE_NEWNET) != 0) abort();
  }
  int error() const { return error_; }

 private:
  Descriptor own_;
  bool entered_ = false;
  int error_ = 0;
};

// Attributes by type; those of types beyond what is asked for here are left out.
class Attributes {
 public:
  Attributes(const struct nlmsghdr *message, size_t header_bytes) {
    mnl_attr_parse(message, static_cast<unsigned>(header_bytes), Add, this);
  }
  explicit Attributes(const struct nlattr *nest) {
    if (nest != nullptr) mnl_attr_parse_nested(nest, Add, this);
  }
  Attributes(const void *payload, size_t bytes) { mnl_attr_parse_payload(payload, bytes, Add, this); }

  const struct nlattr *operator[](uint16_t type) const { return type < kMax ? table_[type] : nullptr; }

  // 0 and "" for those that are not there.
  uint32_t U32(uint16_t type) const {
    const struct nlattr *attribute = (*this)[type];
    return attribute != nullptr && mnl_attr_get_payload_len(attribute) >= 4 ? mnl_attr_get_u32(attribute) : 0;
  }
  std::string Text(uint16_t type) const {
    const struct nlattr *attribute = (*this)[type];
    if (attribute == nullptr) return "";
    const char *text = mnl_attr_get_str(attribute);
    return std::string(text, strnlen(text, mnl_attr_get_payload_len(attribute)));
  }

 private:
  static constexpr size_t kMax = 64;
  static int Add(const struct nlattr *attribute, void *self) {
    uint16_t type = mnl_attr_get_type(attribute);
    if (type < kMax) static_cast<Attributes *>(self)->table_[type] = attribute;
    return MNL_CB_OK;
  }
  const struct nlattr *table_[kMax] = {};
};

// A netlink socket that JavaScript knows by its descriptor, which it closes.
class Netlink {
 public:
  explicit Netlink(int fd) : socket_(mnl_socket_fdopen(dup(fd))) {}
  ~Netlink() {
    if (socket_ != nullptr) mnl_socket_close(socket_);
  }
  Netlink(const Netlink &) = delete;
  Netlink &operator=(const Netlink &) = delete;

  // 0 or an errno, whose meaning the kernel may have put into detail().
  int Dump(struct nlmsghdr *request, const std::function<void(const struct nlmsghdr *)> &each) {
    request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    // A dump during which something changed is not a whole one: again, but not for ever.
    for (int attempt = 0; attempt < 16; attempt++) {
      std::vector<std::vector<uint8_t>> messages;
      int error = Talk(request, &messages);
      if (error == EINTR) continue;
      if (error == 0) {
        for (const auto &message : messages) each(reinterpret_cast<const struct nlmsghdr *>(message.data()));
      }
      return error;
    }
    return EAGAIN;
  }

  int Request(struct nlmsghdr *request) {
    request->nlmsg_flags = static_cast<uint16_t>(request->nlmsg_flags | NLM_F_REQUEST | NLM_F_ACK);
    return Talk(request, nullptr);
  }

  const std::string &detail() const { return detail_; }

 private:
  int Talk(struct nlmsghdr *request, std::vector<std::vector<uint8_t>> *messages) {
    if (socket_ == nullptr) return EBADF;
    unsigned sequence = ++sequence_;
    request->nlmsg_seq = sequence;
    if (mnl_socket_sendto(socket_, request, request->nlmsg_len) < 0) return errno;
    std::vector<uint8_t> buffer(kReceiveBytes);
    bool interrupted = false;
    for (;;) {
      ssize_t length = mnl_socket_recvfrom(socket_, buffer.data(), buffer.size());
      if (length < 0 && errno == EINTR) continue;
      if (length < 0) return errno;
      int left = static_cast<int>(length);
      for (auto *message = reinterpret_cast<const struct nlmsghdr *>(buffer.data()); mnl_nlmsg_ok(message, left);
           message = mnl_nlmsg_next(message, &left)) {
        if (!mnl_nlmsg_seq_ok(message, sequence)) continue;
        if ((message->nlmsg_flags & NLM_F_DUMP_INTR) != 0) interrupted = true;
        if (message->nlmsg_type == NLMSG_ERROR) return ErrorOf(message);
        if (message->nlmsg_type == NLMSG_DONE) return interrupted ? EINTR : DumpError(message);
        const uint8_t *bytes = reinterpret_cast<const uint8_t *>(message);
        if (messages != nullptr) messages->emplace_back(bytes, bytes + message->nlmsg_len);
      }
    }
  }

  static int DumpError(const struct nlmsghdr *done) {
    int code = 0;
    if (mnl_nlmsg_get_payload_len(done) >= sizeof code) memcpy(&code, mnl_nlmsg_get_payload(done), sizeof code);
    return code < 0 ? -code : 0;
  }

  // The errno of an answer; with NETLINK_EXT_ACK there may be words to it, and with NETLINK_CAP_ACK the request is not
  // repeated before them.
  int ErrorOf(const struct nlmsghdr *message) {
    const auto *answer = static_cast<const struct nlmsgerr *>(mnl_nlmsg_get_payload(message));
    if (mnl_nlmsg_get_payload_len(message) < sizeof *answer) return EBADMSG;
    if ((message->nlmsg_flags & NLM_F_ACK_TLVS) != 0 && (message->nlmsg_flags & NLM_F_CAPPED) != 0) {
      detail_ = Attributes(message, sizeof *answer).Text(NLMSGERR_ATTR_MSG);
    }
    return -answer->error;
  }

  struct mnl_socket *socket_;
  unsigned sequence_ = 0;
  std::string detail_;
};

// A request of bounded size.
class Message {
 public:
  Message(uint16_t type, uint16_t flags) {
    header_ = mnl_nlmsg_put_header(bytes_);
    header_->nlmsg_type = type;
    header_->nlmsg_flags = flags;
  }
  template <typename T>
  T *Family() {
    return static_cast<T *>(mnl_nlmsg_put_extra_header(header_, sizeof(T)));
  }
  struct nlmsghdr *header() { return header_; }

 private:
  alignas(NLMSG_ALIGNTO) char bytes_[kRequestBytes];
  struct nlmsghdr *header_;
};

Napi::Value Result(Napi::Env env, int error, const Netlink &netlink) {
  if (error == 0) return env.Undefined();
  Napi::Error thrown = SystemError(env, error, "rtnetlink");
  if (!netlink.detail().empty()) thrown.Set("detail", Napi::String::New(env, netlink.detail()));
  thrown.ThrowAsJavaScriptException();
  return env.Undefined();
}

Napi::Value OpenNetlink(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  InNamespace inside(ToInt(info[0]));
  if (inside.error() != 0) return Throw(env, inside.error(), "setns");
  Descriptor fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (fd.get() < 0) return Throw(env, errno, "socket");
  const int on = 1;
  // Kernels without them say less about errors.
  (void)setsockopt(fd.get(), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
  (void)setsockopt(fd.get(), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
  struct sockaddr_nl address = {};
  address.nl_family = AF_NETLINK;
  if (bind(fd.get(), reinterpret_cast<struct sockaddr *>(&address), sizeof address) != 0) {
    return Throw(env, errno, "bind");
  }
  return Napi::Number::New(env, fd.release());
}

// Not persistent and without an owner: it goes with its last descriptor, and nobody else can attach to it.
Napi::Value OpenTap(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  bool vnet = info[1].As<Napi::Boolean>().Value();
  InNamespace inside(ToInt(info[0]));
  if (inside.error() != 0) return Throw(env, inside.error(), "setns");
  Descriptor tap(open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (tap.get() < 0) return Throw(env, errno, "open");
  struct ifreq request = {};
  strcpy(request.ifr_name, "runnc%d");
  request.ifr_flags = static_cast<short>(IFF_TAP | IFF_NO_PI | (vnet ? IFF_VNET_HDR : 0));
  if (ioctl(tap.get(), TUNSETIFF, &request) != 0) return Throw(env, errno, "TUNSETIFF");
  Descriptor control(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (control.get() < 0) return Throw(env, errno, "socket");
  if (ioctl(control.get(), SIOCGIFINDEX, &request) != 0) return Throw(env, errno, "SIOCGIFINDEX");
  Napi::Object result = Napi::Object::New(env);
  result.Set("index", Napi::Number::New(env, request.ifr_ifindex));
  result.Set("fd", Napi::Number::New(env, tap.release()));
  return result;
}

// A UDP socket in a namespace, connected to port `port` of an IPv4 address there.
Napi::Value ConnectUdp(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  Napi::Uint8Array to = info[1].As<Napi::Uint8Array>();
  struct sockaddr_in address = {};
  if (to.ByteLength() != sizeof address.sin_addr) return Throw(env, EINVAL, "address");
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(ToInt(info[2])));
  memcpy(&address.sin_addr, to.Data(), sizeof address.sin_addr);
  InNamespace inside(ToInt(info[0]));
  if (inside.error() != 0) return Throw(env, inside.error(), "setns");
  Descriptor fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (fd.get() < 0) return Throw(env, errno, "socket");
  if (connect(fd.get(), reinterpret_cast<struct sockaddr *>(&address), sizeof address) != 0) {
    return Throw(env, errno, "connect");
  }
  return Napi::Number::New(env, fd.release());
}

// A namespace's range of ports for who asks for any, "FIRST LAST": as it is, or as it is to be.
Napi::Value LocalPorts(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  const bool set = info[1].IsString();
  const std::string text = set ? info[1].As<Napi::String>().Utf8Value() : "";
  InNamespace inside(ToInt(info[0]));
  if (inside.error() != 0) return Throw(env, inside.error(), "setns");
  Descriptor file(open("/proc/sys/net/ipv4/ip_local_port_range", (set ? O_WRONLY : O_RDONLY) | O_CLOEXEC));
  if (file.get() < 0) return Throw(env, errno, "ip_local_port_range");
  char content[64];
  ssize_t length = set ? write(file.get(), text.data(), text.size()) : read(file.get(), content, sizeof content);
  if (length < 0) return Throw(env, errno, "ip_local_port_range");
  if (set) return env.Undefined();
  return Napi::String::New(env, content, static_cast<size_t>(length));
}

void SetNumber(Napi::Object object, const char *name, uint32_t value) {
  object.Set(name, Napi::Number::New(object.Env(), value));
}

// Left out where the attribute is not there.
void SetBytes(Napi::Object object, const char *name, const struct nlattr *attribute, size_t skip = 0) {
  if (attribute == nullptr || mnl_attr_get_payload_len(attribute) < skip) return;
  const uint8_t *bytes = static_cast<const uint8_t *>(mnl_attr_get_payload(attribute)) + skip;
  object.Set(name,
             Napi::Buffer<uint8_t>::Copy(object.Env(), bytes, mnl_attr_get_payload_len(attribute) - skip));
}

void SetRaw(Napi::Object object, const struct nlmsghdr *message) {
  object.Set("raw", Napi::Buffer<uint8_t>::Copy(object.Env(), reinterpret_cast<const uint8_t *>(message),
                                                message->nlmsg_len));
}

template <typename Header>
Napi::Value DumpObjects(const Napi::CallbackInfo &info, uint16_t request_type, uint16_t answer_type,
                        const std::function<void(Header *)> &fill,
                        const std::function<void(Napi::Object, const Header *, const struct nlmsghdr *)> &convert) {
  Napi::Env env = info.Env();
  Netlink netlink(ToInt(info[0]));
  Message request(request_type, 0);
  fill(request.Family<Header>());
  Napi::Array list = Napi::Array::New(env);
  int error = netlink.Dump(request.header(), [&](const struct nlmsghdr *message) {
    if (message->nlmsg_type != answer_type || mnl_nlmsg_get_payload_len(message) < sizeof(Header)) return;
    Napi::Object object = Napi::Object::New(env);
    convert(object, static_cast<const Header *>(mnl_nlmsg_get_payload(message)), message);
    list.Set(list.Length(), object);
  });
  if (error != 0) return Result(env, error, netlink);
  return list;
}

Napi::Value ReadLinks(const Napi::CallbackInfo &info) {
  return DumpObjects<struct ifinfomsg>(
      info, RTM_GETLINK, RTM_NEWLINK, [](struct ifinfomsg *) {},
      [](Napi::Object link, const struct ifinfomsg *header, const struct nlmsghdr *message) {
        Attributes attributes(message, sizeof *header);
        Attributes kind(attributes[IFLA_LINKINFO]);
        SetNumber(link, "index", static_cast<uint32_t>(header->ifi_index));
        SetNumber(link, "type", header->ifi_type);
        SetNumber(link, "flags", header->ifi_flags);
        SetNumber(link, "mtu", attributes.U32(IFLA_MTU));
        link.Set("name", attributes.Text(IFLA_IFNAME));
        link.Set("kind", kind.Text(IFLA_INFO_KIND));
        SetBytes(link, "mac", attributes[IFLA_ADDRESS]);
      });
}

Napi::Value ReadAddresses(const Napi::CallbackInfo &info) {
  return DumpObjects<struct ifaddrmsg>(
      info, RTM_GETADDR, RTM_NEWADDR, [](struct ifaddrmsg *) {},
      [](Napi::Object address, const struct ifaddrmsg *header, const struct nlmsghdr *message) {
        Attributes attributes(message, sizeof *header);
        SetNumber(address, "index", header->ifa_index);
        SetNumber(address, "family", header->ifa_family);
        SetNumber(address, "prefixLength", header->ifa_prefixlen);
        SetNumber(address, "scope", header->ifa_scope);
        SetNumber(address, "flags", attributes[IFA_FLAGS] != nullptr ? attributes.U32(IFA_FLAGS) : header->ifa_flags);
        SetBytes(address, "address", attributes[IFA_ADDRESS]);
        SetBytes(address, "local", attributes[IFA_LOCAL]);
        SetBytes(address, "broadcast", attributes[IFA_BROADCAST]);
        SetRaw(address, message);
      });
}

// Adds the way that a route or one of several ways takes.
void SetHop(Napi::Object hop, const Attributes &attributes, uint32_t index, uint32_t flags, uint32_t family) {
  const struct nlattr *via = attributes[RTA_VIA];
  SetNumber(hop, "index", index);
  SetNumber(hop, "flags", flags);
  if (attributes[RTA_GATEWAY] != nullptr) {
    SetBytes(hop, "gateway", attributes[RTA_GATEWAY]);
    SetNumber(hop, "gatewayFamily", family);
  } else if (via != nullptr && mnl_attr_get_payload_len(via) > sizeof(struct rtvia)) {
    SetBytes(hop, "gateway", via, sizeof(struct rtvia));
    SetNumber(hop, "gatewayFamily", static_cast<const struct rtvia *>(mnl_attr_get_payload(via))->rtvia_family);
  }
}

void SetHops(Napi::Object route, const Attributes &attributes, const struct rtmsg *header) {
  Napi::Env env = route.Env();
  Napi::Array hops = Napi::Array::New(env);
  const struct nlattr *paths = attributes[RTA_MULTIPATH];
  if (paths == nullptr) {
    Napi::Object hop = Napi::Object::New(env);
    SetHop(hop, attributes, attributes.U32(RTA_OIF), header->rtm_flags, header->rtm_family);
    hops.Set(0u, hop);
  } else {
    const struct rtnexthop *next = static_cast<const struct rtnexthop *>(mnl_attr_get_payload(paths));
    size_t left = mnl_attr_get_payload_len(paths);
    while (left >= sizeof *next && next->rtnh_len >= sizeof *next && next->rtnh_len <= left) {
      Napi::Object hop = Napi::Object::New(env);
      SetHop(hop, Attributes(next + 1, next->rtnh_len - sizeof *next),
             static_cast<uint32_t>(next->rtnh_ifindex), next->rtnh_flags, header->rtm_family);
      hops.Set(hops.Length(), hop);
      size_t step = RTNH_ALIGN(next->rtnh_len);
      if (step >= left) break;
      left -= step;
      next = RTNH_NEXT(next);
    }
  }
  route.Set("hops", hops);
}

Napi::Value ReadRoutes(const Napi::CallbackInfo &info) {
  uint8_t family = static_cast<uint8_t>(ToInt(info[1]));
  return DumpObjects<struct rtmsg>(
      info, RTM_GETROUTE, RTM_NEWROUTE, [family](struct rtmsg *header) { header->rtm_family = family; },
      [](Napi::Object route, const struct rtmsg *header, const struct nlmsghdr *message) {
        Attributes attributes(message, sizeof *header);
        Attributes metrics(attributes[RTA_METRICS]);
        uint32_t table = attributes.U32(RTA_TABLE);
        SetNumber(route, "family", header->rtm_family);
        SetNumber(route, "type", header->rtm_type);
        SetNumber(route, "table", table != 0 ? table : header->rtm_table);
        SetNumber(route, "scope", header->rtm_scope);
        SetNumber(route, "protocol", header->rtm_protocol);
        SetNumber(route, "routeFlags", header->rtm_flags);
        SetNumber(route, "prefixLength", header->rtm_dst_len);
        SetNumber(route, "metric", attributes.U32(RTA_PRIORITY));
        SetNumber(route, "mtu", metrics.U32(RTAX_MTU));
        SetBytes(route, "destination", attributes[RTA_DST]);
        SetBytes(route, "preferredSource", attributes[RTA_PREFSRC]);
        SetHops(route, attributes, header);
        SetRaw(route, message);
      });
}

Napi::Value ReadNeighbours(const Napi::CallbackInfo &info) {
  return DumpObjects<struct ndmsg>(
      info, RTM_GETNEIGH, RTM_NEWNEIGH, [](struct ndmsg *) {},
      [](Napi::Object neighbour, const struct ndmsg *header, const struct nlmsghdr *message) {
        Attributes attributes(message, sizeof *header);
        SetNumber(neighbour, "index", static_cast<uint32_t>(header->ndm_ifindex));
        SetNumber(neighbour, "family", header->ndm_family);
        SetNumber(neighbour, "state", header->ndm_state);
        SetBytes(neighbour, "address", attributes[NDA_DST]);
        SetBytes(neighbour, "mac", attributes[NDA_LLADDR]);
        SetRaw(neighbour, message);
      });
}

Napi::Value ReadQdiscs(const Napi::CallbackInfo &info) {
  return DumpObjects<struct tcmsg>(
      info, RTM_GETQDISC, RTM_NEWQDISC, [](struct tcmsg *) {},
      [](Napi::Object qdisc, const struct tcmsg *header, const struct nlmsghdr *message) {
        SetNumber(qdisc, "index", static_cast<uint32_t>(header->tcm_ifindex));
        SetNumber(qdisc, "parent", header->tcm_parent);
        qdisc.Set("kind", Attributes(message, sizeof *header).Text(TCA_KIND));
      });
}

// The filters in the ingress qdisc of an interface; of those that redirect where to, and the cookie they were made with.
Napi::Value ReadFilters(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  Netlink netlink(ToInt(info[0]));
  Message request(RTM_GETTFILTER, 0);
  struct tcmsg *header = request.Family<struct tcmsg>();
  header->tcm_ifindex = ToInt(info[1]);
  header->tcm_parent = TC_H_MAKE(TC_H_INGRESS, 0);
  Napi::Array list = Napi::Array::New(env);
  int error = netlink.Dump(request.header(), [&](const struct nlmsghdr *message) {
    if (message->nlmsg_type != RTM_NEWTFILTER || mnl_nlmsg_get_payload_len(message) < sizeof *header) return;
    Attributes attributes(message, sizeof *header);
    Attributes options(attributes[TCA_OPTIONS]);
    // u32 lists its hash table as if that were a filter.
    if (attributes.Text(TCA_KIND) == "u32" && options[TCA_U32_SEL] == nullptr) return;
    Attributes actions(options[TCA_U32_ACT]);
    Attributes action(actions[1]);
    Napi::Object filter = Napi::Object::New(env);
    uint32_t target = 0;
    if (action.Text(TCA_ACT_KIND) == "mirred") {
      Attributes action_options(action[TCA_ACT_OPTIONS]);
      const struct nlattr *parameters = action_options[TCA_MIRRED_PARMS];
      if (parameters != nullptr && mnl_attr_get_payload_len(parameters) >= sizeof(struct tc_mirred)) {
        target = static_cast<const struct tc_mirred *>(mnl_attr_get_payload(parameters))->ifindex;
      }
      SetBytes(filter, "cookie", action[TCA_ACT_COOKIE]);
    }
    SetNumber(filter, "target", target);
    list.Set(list.Length(), filter);
  });
  if (error != 0) return Result(env, error, netlink);
  return list;
}

// MTU and length of the transmit queue, no addresses of its own for IPv6, and up.
Napi::Value SetUpTap(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  Netlink netlink(ToInt(info[0]));
  int index = ToInt(info[1]);
  Message request(RTM_NEWLINK, 0);
  struct ifinfomsg *header = request.Family<struct ifinfomsg>();
  header->ifi_index = index;
  mnl_attr_put_u32(request.header(), IFLA_MTU, static_cast<uint32_t>(ToInt(info[2])));
  mnl_attr_put_u32(request.header(), IFLA_TXQLEN, static_cast<uint32_t>(ToInt(info[3])));
  int error = netlink.Request(request.header());
  if (error != 0) return Result(env, error, netlink);

  Message mode(RTM_NEWLINK, 0);
  mode.Family<struct ifinfomsg>()->ifi_index = index;
  struct nlattr *families = mnl_attr_nest_start(mode.header(), IFLA_AF_SPEC);
  struct nlattr *inet6 = mnl_attr_nest_start(mode.header(), AF_INET6);
  mnl_attr_put_u8(mode.header(), IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
  mnl_attr_nest_end(mode.header(), inet6);
  mnl_attr_nest_end(mode.header(), families);
  // A kernel without IPv6 has no addresses to give.
  (void)netlink.Request(mode.header());

  Message up(RTM_NEWLINK, 0);
  header = up.Family<struct ifinfomsg>();
  header->ifi_index = index;
  header->ifi_flags = IFF_UP;
  header->ifi_change = IFF_UP;
  error = netlink.Request(up.header());
  return Result(env, error, netlink);
}

// The one action of a filter: frames go out by another interface; or copies of them do, and they go up the stack.
void PutMirred(struct nlmsghdr *message, int target, bool copies, const Napi::Uint8Array &cookie) {
  struct tc_mirred parameters = {};
  parameters.action = copies ? TC_ACT_OK : TC_ACT_STOLEN;
  parameters.eaction = copies ? TCA_EGRESS_MIRROR : TCA_EGRESS_REDIR;
  parameters.ifindex = static_cast<uint32_t>(target);

  struct nlattr *actions = mnl_attr_nest_start(message, TCA_U32_ACT);
  struct nlattr *action = mnl_attr_nest_start(message, 1);
  mnl_attr_put_strz(message, TCA_ACT_KIND, "mirred");
  mnl_attr_put(message, TCA_ACT_COOKIE, cookie.ByteLength(), cookie.Data());
  struct nlattr *action_options = mnl_attr_nest_start(message, TCA_ACT_OPTIONS);
  mnl_attr_put(message, TCA_MIRRED_PARMS, sizeof parameters, &parameters);
  mnl_attr_nest_end(message, action_options);
  mnl_attr_nest_end(message, action);
  mnl_attr_nest_end(message, actions);
}

// A filter of an ingress qdisc, tried in the order of `order`. u32 without a key matches everything and is in every
// kernel that has filters at all, unlike matchall.
struct Filter {
  Message message{RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL};
  struct nlattr *options;

  Filter(int index, uint32_t order, uint16_t protocol, const std::vector<struct tc_u32_key> &keys) {
    struct tcmsg *header = message.Family<struct tcmsg>();
    header->tcm_ifindex = index;
    header->tcm_parent = TC_H_MAKE(TC_H_INGRESS, 0);
    header->tcm_info = TC_H_MAKE(order << 16, htons(protocol));
    mnl_attr_put_strz(message.header(), TCA_KIND, "u32");
    options = mnl_attr_nest_start(message.header(), TCA_OPTIONS);
    struct tc_u32_sel selector = {};
    selector.flags = TC_U32_TERMINAL;
    selector.nkeys = static_cast<unsigned char>(keys.size());
    std::vector<uint8_t> bytes(sizeof selector + keys.size() * sizeof keys[0]);
    memcpy(bytes.data(), &selector, sizeof selector);
    if (!keys.empty()) memcpy(bytes.data() + sizeof selector, keys.data(), keys.size() * sizeof keys[0]);
    mnl_attr_put(message.header(), TCA_U32_SEL, bytes.size(), bytes.data());
  }
  int Add(Netlink &netlink) {
    mnl_attr_nest_end(message.header(), options);
    return netlink.Request(message.header());
  }
};

// Behind all others that this file makes.
constexpr uint32_t kRedirectOrder = 100;
constexpr size_t kMaxKeys = 16;

// All that comes in by an interface goes out by another. `syscall` of the error says which part failed.
Napi::Value AddRedirect(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  Netlink netlink(ToInt(info[0]));
  int from = ToInt(info[1]);
  Napi::Uint8Array cookie = info[3].As<Napi::Uint8Array>();
  if (cookie.ByteLength() > TC_COOKIE_MAX_SIZE) return Throw(env, EINVAL, "cookie");

  Message qdisc(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL);
  struct tcmsg *header = qdisc.Family<struct tcmsg>();
  header->tcm_ifindex = from;
  header->tcm_parent = TC_H_INGRESS;
  header->tcm_handle = TC_H_MAKE(TC_H_INGRESS, 0);
  mnl_attr_put_strz(qdisc.header(), TCA_KIND, "ingress");
  int error = netlink.Request(qdisc.header());
  if (error != 0) return Throw(env, error, "ingress");

  Filter filter(from, kRedirectOrder, ETH_P_ALL, {});
  PutMirred(filter.message.header(), ToInt(info[2]), false, cookie);
  error = filter.Add(netlink);
  if (error != 0) return Throw(env, error, "mirred");
  return env.Undefined();
}

// What matches all keys (32 bits each: offset from the network header, value, mask) goes up the namespace's own stack, or
// in its place, or besides (`copies`), out by `device` if that is not 0. fd, interface, order, protocol, keys, device,
// copies, cookie.
Napi::Value AddException(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  Netlink netlink(ToInt(info[0]));
  Napi::Array list = info[4].As<Napi::Array>();
  int device = ToInt(info[5]);
  bool copies = info[6].As<Napi::Boolean>().Value();
  Napi::Uint8Array cookie = info[7].As<Napi::Uint8Array>();
  if (list.Length() > kMaxKeys || cookie.ByteLength() > TC_COOKIE_MAX_SIZE) return Throw(env, EINVAL, "keys");
  std::vector<struct tc_u32_key> keys;
  for (uint32_t i = 0; i < list.Length(); i++) {
    Napi::Array parts = list.Get(i).As<Napi::Array>();
    struct tc_u32_key key = {};
    key.off = parts.Get(0u).As<Napi::Number>().Int32Value();
    key.val = htonl(parts.Get(1u).As<Napi::Number>().Uint32Value());
    key.mask = htonl(parts.Get(2u).As<Napi::Number>().Uint32Value());
    keys.push_back(key);
  }
  Filter filter(ToInt(info[1]), static_cast<uint32_t>(ToInt(info[2])), static_cast<uint16_t>(ToInt(info[3])), keys);
  if (device != 0) PutMirred(filter.message.header(), device, copies, cookie);
  int error = filter.Add(netlink);
  if (error != 0) return Throw(env, error, "filter");
  return env.Undefined();
}

Napi::Value RemoveIngress(const Napi::CallbackInfo &info) {
  Netlink netlink(ToInt(info[0]));
  Message request(RTM_DELQDISC, 0);
  struct tcmsg *header = request.Family<struct tcmsg>();
  header->tcm_ifindex = ToInt(info[1]);
  header->tcm_parent = TC_H_INGRESS;
  header->tcm_handle = TC_H_MAKE(TC_H_INGRESS, 0);
  return Result(info.Env(), netlink.Request(request.header()), netlink);
}

// What a dump called an address, a route or a neighbour, as a request to add it again or to delete it.
Napi::Value Replay(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  Netlink netlink(ToInt(info[0]));
  Napi::Uint8Array raw = info[1].As<Napi::Uint8Array>();
  bool add = info[2].As<Napi::Boolean>().Value();
  std::vector<uint8_t> bytes(raw.Data(), raw.Data() + raw.ByteLength());
  auto *message = reinterpret_cast<struct nlmsghdr *>(bytes.data());
  if (bytes.size() < MNL_NLMSG_HDRLEN + sizeof(struct ifaddrmsg) || message->nlmsg_len != bytes.size()) {
    return Throw(env, EINVAL, "rtnetlink");
  }
  switch (message->nlmsg_type) {
    case RTM_NEWADDR:
      if (!add) message->nlmsg_type = RTM_DELADDR;
      break;
    case RTM_NEWNEIGH:
      if (!add) message->nlmsg_type = RTM_DELNEIGH;
      break;
    case RTM_NEWROUTE: {
      auto *route = static_cast<struct rtmsg *>(mnl_nlmsg_get_payload(message));
      if (mnl_nlmsg_get_payload_len(message) < sizeof *route) return Throw(env, EINVAL, "rtnetlink");
      // The others say how the route was at the time, and are refused.
      route->rtm_flags &= RTNH_F_ONLINK | RTNH_F_PERVASIVE;
      if (!add) message->nlmsg_type = RTM_DELROUTE;
      break;
    }
    default:
      return Throw(env, EINVAL, "rtnetlink");
  }
  message->nlmsg_flags = add ? NLM_F_CREATE | NLM_F_EXCL : 0;
  return Result(env, netlink.Request(message), netlink);
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports.Set("openNetlink", Napi::Function::New<OpenNetlink>(env, "openNetlink"));
  exports.Set("openTap", Napi::Function::New<OpenTap>(env, "openTap"));
  exports.Set("readLinks", Napi::Function::New<ReadLinks>(env, "readLinks"));
  exports.Set("readAddresses", Napi::Function::New<ReadAddresses>(env, "readAddresses"));
  exports.Set("readRoutes", Napi::Function::New<ReadRoutes>(env, "readRoutes"));
  exports.Set("readNeighbours", Napi::Function::New<ReadNeighbours>(env, "readNeighbours"));
  exports.Set("readQdiscs", Napi::Function::New<ReadQdiscs>(env, "readQdiscs"));
  exports.Set("readFilters", Napi::Function::New<ReadFilters>(env, "readFilters"));
  exports.Set("setUpTap", Napi::Function::New<SetUpTap>(env, "setUpTap"));
  exports.Set("addRedirect", Napi::Function::New<AddRedirect>(env, "addRedirect"));
  exports.Set("addException", Napi::Function::New<AddException>(env, "addException"));
  exports.Set("connectUdp", Napi::Function::New<ConnectUdp>(env, "connectUdp"));
  exports.Set("localPorts", Napi::Function::New<LocalPorts>(env, "localPorts"));
  exports.Set("removeIngress", Napi::Function::New<RemoveIngress>(env, "removeIngress"));
  exports.Set("replay", Napi::Function::New<Replay>(env, "replay"));
  return exports;
}

}  // namespace
}  // namespace runnc

static Napi::Object InitModule(Napi::Env env, Napi::Object exports) { return runnc::Init(env, exports); }

NODE_API_MODULE(network, InitModule)
