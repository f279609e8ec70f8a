#ifndef RUNNC_ADDON_POSIX_H
#define RUNNC_ADDON_POSIX_H

#include <napi.h>

namespace runnc {
void ExportPosix(Napi::Env env, Napi::Object exports);
}

#endif
