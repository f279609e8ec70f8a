#ifndef RUNNC_ADDON_CONTENT_H
#define RUNNC_ADDON_CONTENT_H

#include <napi.h>

namespace runnc {

void ExportContent(Napi::Env env, Napi::Object exports);

}  // namespace runnc

#endif
