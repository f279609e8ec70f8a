#ifndef RUNNC_ADDON_FILE_H
#define RUNNC_ADDON_FILE_H

#include <napi.h>

namespace runnc {

void ExportFile(Napi::Env env, Napi::Object exports);

}  // namespace runnc

#endif
