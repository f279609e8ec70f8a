#ifndef RUNNC_ADDON_TREE_H
#define RUNNC_ADDON_TREE_H

#include <napi.h>

namespace runnc {

void ExportTree(Napi::Env env, Napi::Object exports);

}  // namespace runnc

#endif
