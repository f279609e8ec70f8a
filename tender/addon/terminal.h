#ifndef RUNNC_ADDON_TERMINAL_H
#define RUNNC_ADDON_TERMINAL_H

#include <napi.h>

namespace runnc {

void ExportTerminal(Napi::Env env, Napi::Object exports);

}  // namespace runnc

#endif
