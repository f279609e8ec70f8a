{
  'target_defaults': {
    'include_dirs': ["<!(node -p \"require('node-addon-api').include_dir\")"],
    'defines': ['NAPI_VERSION=8', 'NAPI_DISABLE_CPP_EXCEPTIONS', 'NODE_ADDON_API_DISABLE_DEPRECATED', '_GNU_SOURCE'],
    # Small, because the one-file program copies an addon to load it.
    'cflags_cc!': ['-O3'],
    'cflags_cc': ['-std=c++17', '-Os', '-Wall', '-Wextra', '-Werror', '-fvisibility=hidden', '-ffunction-sections', '-fdata-sections'],
    'ldflags': ['-static-libstdc++', '-static-libgcc', '-Wl,--exclude-libs,ALL', '-Wl,--gc-sections', '-s', '-Wl,-z,now', '-Wl,-z,relro'],
  },
  # The addons: `node-gyp configure build`, then build/Release/*.node are copied to dist/. Node-API only, so that
  # Node and Bun load the same file; no C++ library is linked, so that hosts without one load it too.
  'targets': [
    {
      'target_name': 'runnc',
      'sources': [
        'tender/addon/addon.cc',
        'tender/addon/content.cc',
        'tender/addon/error.cc',
        'tender/addon/file.cc',
        'tender/addon/hash.cc',
        'tender/addon/poller.cc',
        'tender/addon/posix.cc',
        'tender/addon/process.cc',
        'tender/addon/socket.cc',
        'tender/addon/terminal.cc',
        'tender/addon/tree.cc',
      ],
      'libraries': ['-Wl,-Bstatic', '-lmd', '-Wl,-Bdynamic'],
    },
    {
      # Loaded only where there may be a network: no other call needs libmnl.
      'target_name': 'network',
      'sources': ['tender/addon/error.cc', 'tender/addon/network.cc'],
      'libraries': ['-lmnl'],
    },
  ],
}
