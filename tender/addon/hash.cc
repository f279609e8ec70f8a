// A checksum that is as fast as memory (xxHash, XXH3 with 128 bits): for damage, not for malice.
#include "hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace runnc {
namespace {

Napi::Value Checksum(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  Napi::Uint8Array data = info[0].As<Napi::Uint8Array>();
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits(data.Data(), data.ByteLength()));
  return Napi::Buffer<uint8_t>::Copy(env, canonical.digest, sizeof canonical.digest);
}

}  // namespace

void ExportHash(Napi::Env env, Napi::Object exports) { exports.Set("checksum", Napi::Function::New(env, Checksum)); }

}  // namespace runnc
