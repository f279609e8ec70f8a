/**
 * Entry of the one-file program: `bun build --compile` embeds the files imported here. Their virtual paths
 * are readable by this process alone and are never extracted (see src/native.ts and src/assets.ts).
 */
import addon from '../dist/runnc.node' with { type: 'file' };
import init from '../dist/init' with { type: 'file' };
import tender from '../dist/tender-spt' with { type: 'file' };
import linux from '../dist/linux.spt' with { type: 'file' };
import { registerAssets } from '../src/assets.ts';
import { main } from './main.ts';

// What engines call again and again, in one piece: each piece that is loaded apart costs a call 0.2 ms.
import './create.ts';
import './start.ts';
import './state.ts';
import './kill.ts';
import './delete.ts';
import './run.ts';
import '../src/container/start.ts';
import '../src/container/destroy.ts';
import '../src/sandbox/cgroups/v1.ts';

registerAssets({ 'runnc.node': addon, init, 'tender-spt': tender, 'linux.spt': linux });
await main();
