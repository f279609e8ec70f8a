// Hashes: SHA-256 on the spot, for what is short, and a checksum that is as fast as memory (xxHash, XXH3 with 128 bits).
#include "hash.h"

#include <sha256.h>  // libmd's

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

Napi::Value Sha256(const Napi::CallbackInfo &info) {
  Napi::Env env = info.Env();
  Napi::Uint8Array data = info[0].As<Napi::Uint8Array>();
  SHA2_CTX context;
  SHA256Init(&context);
  SHA256Update(&context, data.Data(), data.ByteLength());
  uint8_t digest[SHA256_DIGEST_LENGTH];
  SHA256Final(digest, &context);
  return Napi::Buffer<uint8_t>::Copy(env, digest, sizeof digest);
}

}  // namespace

void ExportHash(Napi::Env env, Napi::Object exports) {
  exports.Set("checksum", Napi::Function::New(env, Checksum));
  exports.Set("sha256", Napi::Function::New(env, Sha256));
}

}  // namespace runnc
