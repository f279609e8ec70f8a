#ifndef RUNNC_ADDON_SOCKET_H
#define RUNNC_ADDON_SOCKET_H

#include <napi.h>

namespace runnc {

void ExportSocket(Napi::Env env, Napi::Object exports);

}  // namespace runnc

#endif
