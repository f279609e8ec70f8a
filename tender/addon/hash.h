#ifndef RUNNC_ADDON_HASH_H
#define RUNNC_ADDON_HASH_H

#include <napi.h>

namespace runnc {

void ExportHash(Napi::Env env, Napi::Object exports);

}  // namespace runnc

#endif
