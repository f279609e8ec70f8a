#ifndef RUNNC_ADDON_PROCESS_H
#define RUNNC_ADDON_PROCESS_H

#include <napi.h>

namespace runnc {

void ExportProcess(Napi::Env env, Napi::Object exports);

}  // namespace runnc

#endif
