// The addon's table of contents. src/native.ts is its contract: what each function promises is written there.
//
// No function decides anything, none keeps state but the poller (poller.h).
#include "content.h"
#include "process.h"
#include "file.h"
#include "hash.h"
#include "poller.h"
#include "posix.h"
#include "socket.h"
#include "terminal.h"
#include "tree.h"

static Napi::Object Init(Napi::Env env, Napi::Object exports) {
  runnc::ExportPoller(env, exports);
  runnc::ExportProcess(env, exports);
  runnc::ExportContent(env, exports);
  runnc::ExportFile(env, exports);
  runnc::ExportPosix(env, exports);
  runnc::ExportHash(env, exports);
  runnc::ExportSocket(env, exports);
  runnc::ExportTerminal(env, exports);
  runnc::ExportTree(env, exports);
  return exports;
}

NODE_API_MODULE(runnc, Init)
