/**
 * Entry of the one-file program: `bun build --compile` embeds the files imported here. Their virtual paths
 * are readable by this process alone and are never extracted (see src/native.ts and src/assets.ts).
 */
import addon from '../dist/runnc.node' with { type: 'file' };
import network from '../dist/network.node' with { type: 'file' };
import control from '../dist/control' with { type: 'file' };
import init from '../dist/init' with { type: 'file' };
import tender from '../dist/tender-spt' with { type: 'file' };
import fileserver from '../dist/fileserver' with { type: 'file' };
import linux from '../dist/linux.spt' with { type: 'file' };
import { loadEmbedded } from '../src/embedded-addon.ts';
import { registerAddon } from '../src/native.ts';
import { registerParts } from '../src/parts.ts';
import { main } from './main.ts';

registerParts({
  'runnc.node': addon,
  'network.node': network,
  control,
  init,
  'tender-spt': tender,
  fileserver,
  'linux.spt': linux,
});
registerAddon(await loadEmbedded('runnc.node'));
await main();
