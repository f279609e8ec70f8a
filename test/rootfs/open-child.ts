/**
 * Opens a rootfs image in a process of its own: `open-child.ts ROOTFS FORMAT CACHE`. Prints "ready", waits for a line
 * on standard input, opens, prints {inode, built} and holds the image until standard input ends.
 */
import { closeSync, fstatSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { openRootfsImage } from '../../src/rootfs/open.ts';
import type { RootfsFormat } from '../../src/rootfs/rootfs-image.ts';

const [rootfs = '', format = 'erofs', cacheDir = ''] = process.argv.slice(2);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
console.log('ready');
await lines.next();
const { fd, sizeBytes } = await openRootfsImage({ rootfs, format: format as RootfsFormat, cacheDir });
console.log(JSON.stringify({ inode: fstatSync(fd).ino, sizeBytes }));
await lines.next();
closeSync(fd);
