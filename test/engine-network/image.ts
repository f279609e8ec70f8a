/** A small Linux image with what tests of networks want: busybox, and what asks glibc for names. */
import { symlinkSync } from 'node:fs';
import { Rootfs } from '../linux-programs/rootfs.ts';
import { succeed } from '../support/command.ts';

const APPLETS = ['cat', 'echo', 'grep', 'httpd', 'ip', 'nc', 'nslookup', 'ping', 'sh', 'sleep', 'wget'];

export function networkRootfs(): Rootfs {
  const rootfs = new Rootfs();
  for (const name of APPLETS) symlinkSync('busybox', rootfs.path(`/usr/bin/${name}`));
  rootfs.add('/usr/bin/getent');
  rootfs.write('/etc/nsswitch.conf', 'hosts: files dns\n');
  rootfs.write('/www/index.html', 'from the guest\n');
  return rootfs;
}

/** The same as a tar file, which engines import. */
export async function writeNetworkRootfs(tar: string): Promise<void> {
  const rootfs = networkRootfs();
  try {
    await succeed('tar', ['-C', rootfs.folder, '--owner=0', '--group=0', '-cf', tar, '.']);
  } finally {
    rootfs.remove();
  }
}
