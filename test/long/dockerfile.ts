/**
 * The project's Dockerfile, from a clone of HEAD to a container that runs containers. Its base images are made here,
 * from Debian's packages and this machine's own Node.js, so that no image registry is needed; Debian's and npm's are.
 */
import { execFileSync } from 'node:child_process';
import { appendFileSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { expect } from 'chai';
import { Playground } from '../support/bundle.ts';
import { succeed } from '../support/command.ts';
import { Dockerd } from '../support/dockerd.ts';
import { GREETING } from '../support/images.ts';

const top = resolve(import.meta.dirname, '../..');
const MINUTE_MS = 60_000;

describe('the Dockerfile', function () {
  this.timeout(30 * MINUTE_MS);
  let docker: Dockerd;
  let host: Playground;
  let folder: string;

  before(async () => {
    // Podman's and Docker's users build with runc; what is built is what runs containers then.
    docker = await Dockerd.start({ defaultRuntime: 'runc' });
    host = new Playground();
    folder = mkdtempSync(join(tmpdir(), 'runnc-dockerfile-'));
  });

  after(async () => {
    await docker.stop();
    await host.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it('builds', async () => {
    const root = join(folder, 'root');
    await succeed('debootstrap', ['--variant=minbase', 'bookworm', root], { timeoutMs: 10 * MINUTE_MS });
    const environment = trustAsHere(root);
    await importAs('debian:bookworm-slim', root, environment);
    addNode(root);
    await importAs('node:20-bookworm', root, environment);

    const clone = join(folder, 'clone');
    await succeed('git', ['clone', '--quiet', '--depth=1', `file://${top}`, clone]);
    const { status, stdout, stderr } = await docker.try(
      ['build', '--network=host', '--tag=runnc:test', clone],
      { timeoutMs: 20 * MINUTE_MS },
    );
    expect(status, `${stdout}${stderr}`.slice(-5000)).to.equal(0);
  });

  it('makes an image that says its version', async () => {
    const text = await docker.docker('run', '--rm', '--network=none', 'runnc:test', '--version');
    expect(text).to.match(/^runnc version \d+\.\d+\.\d+\n/);
  });

  it('makes an image whose tender runs a unikernel without any right', async () => {
    const bundle = host.bundle('hello');
    const text = await docker.docker(
      ...['run', '--rm', '--network=none', '--cap-drop=ALL', '--user=1000:1000'],
      ...[
        `--volume=${bundle}:/bundle:ro`,
        '--entrypoint=tender-spt',
        'runnc:test',
        '/bundle/rootfs/hello.spt',
      ],
    );
    expect(text).to.contain(GREETING);
  });

  it('makes an image that runs containers, of a unikernel and of a Linux program', async () => {
    const unikernel = host.bundle('hello');
    const linux = host.bundle('hello', [], (spec) => {
      spec.process.args = ['/busybox', 'echo', 'Hello from Linux'];
    });
    cpSync('/bin/busybox', join(linux, 'rootfs/busybox'));
    for (const [bundle, greeting] of [
      [unikernel, GREETING],
      [linux, 'Hello from Linux'],
    ] as const) {
      // A part of what --privileged gives, which not every host can give.
      const text = await docker.docker(
        ...['run', '--rm', '--network=none', '--cap-add=SYS_ADMIN', '--security-opt=seccomp=unconfined'],
        ...['--volume=/sys/fs/cgroup:/sys/fs/cgroup', `--volume=${bundle}:/bundle`],
        ...['runnc:test', 'run', '--bundle=/bundle', 'inner'],
      );
      expect(text).to.equal(greeting);
    }
  });

  /** The certificates and package sources that this machine needs on its network. Returns the environment for npm. */
  function trustAsHere(root: string): readonly string[] {
    const cafile = process.env['NODE_EXTRA_CA_CERTS'];
    if (cafile === undefined) return [];
    // Not where the package ca-certificates would write its own.
    const inside = '/etc/runnc-test-ca.crt';
    writeFileSync(join(root, inside), readFileSync(cafile));
    return [`NODE_EXTRA_CA_CERTS=${inside}`, `npm_config_cafile=${inside}`];
  }

  /** As the image node has it: in /usr/local, with the headers. */
  function addNode(root: string): void {
    const node = process.execPath;
    const prefix = dirname(dirname(node));
    const local = join(root, 'usr/local');
    cpSync(node, join(local, 'bin/node'));
    for (const part of ['lib/node_modules/npm', 'include/node']) {
      mkdirSync(dirname(join(local, part)), { recursive: true });
      cpSync(join(prefix, part), join(local, part), { recursive: true });
    }
    for (const name of ['npm', 'npx']) {
      const script = join(local, 'bin', name);
      writeFileSync(script, '#!/bin/sh\n', { mode: 0o755 });
      appendFileSync(script, `exec node /usr/local/lib/node_modules/npm/bin/${name}-cli.js "$@"\n`);
    }
  }

  async function importAs(tag: string, root: string, environment: readonly string[]): Promise<void> {
    const tar = join(folder, 'root.tar');
    execFileSync('tar', ['-C', root, '--numeric-owner', '-cf', tar, '.']);
    const changes = environment.map((setting) => `--change=ENV ${setting}`);
    await docker.docker('import', ...changes, tar, tag);
    rmSync(tar);
  }
});
