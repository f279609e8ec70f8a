#include "error.h"

#include <string.h>
#include <unistd.h>

namespace runnc {

Napi::Error SystemError(Napi::Env env, int error, const char *syscall, const std::string &path) {
  const char *name = strerrorname_np(error);
  if (name == nullptr) name = "EUNKNOWN";
  const char *description = strerrordesc_np(error);
  if (description == nullptr) description = "unknown error";
  // As node:fs has it, whose words callers look for ("no such file or directory").
  std::string words = description;
  if (words[0] >= 'A' && words[0] <= 'Z' && !(words[1] >= 'A' && words[1] <= 'Z')) words[0] += 'a' - 'A';
  std::string message = std::string(name) + ": " + words + ", " + syscall;
  if (!path.empty()) message += " '" + path + "'";
  Napi::Error result = Napi::Error::New(env, message);
  result.Set("code", Napi::String::New(env, name));
  result.Set("errno", Napi::Number::New(env, -error));
  result.Set("syscall", Napi::String::New(env, syscall));
  if (!path.empty()) result.Set("path", Napi::String::New(env, path));
  return result;
}

Napi::Value Throw(Napi::Env env, int error, const char *syscall) {
  SystemError(env, error, syscall).ThrowAsJavaScriptException();
  return env.Undefined();
}

int ToInt(const Napi::Value &value) { return value.As<Napi::Number>().Int32Value(); }

std::vector<std::string> ToStrings(const Napi::Value &value, bool *ok) {
  Napi::Array array = value.As<Napi::Array>();
  std::vector<std::string> result;
  for (uint32_t i = 0; i < array.Length(); i++) {
    result.push_back(array.Get(i).As<Napi::String>().Utf8Value());
    if (result.back().find('\0') != std::string::npos) *ok = false;
  }
  return result;
}

std::vector<int> ToInts(const Napi::Value &value) {
  Napi::Array array = value.As<Napi::Array>();
  std::vector<int> result;
  for (uint32_t i = 0; i < array.Length(); i++) result.push_back(ToInt(array.Get(i)));
  return result;
}

Descriptor::~Descriptor() {
  if (fd_ >= 0) close(fd_);
}

}  // namespace runnc
