/**
 * Somebody is killed after each step of create, start and delete: the runtime, or init. Whatever that leaves, delete
 * --force ends with an empty host, and the id is free again.
 */
import { expect } from 'chai';
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { runtimeSteps } from '../../src/fault.ts';
import { initSteps } from '../../src/sandbox/launch-plan.ts';
import { Playground, until } from '../support/bundle.ts';
import { needs } from '../support/paths.ts';

const faults = [
  ...runtimeSteps.map((step) => `runtime:${step}`),
  ...initSteps.map((step) => `runtime:${step}`),
  ...initSteps.map((step) => `init:${step}`),
];

/** startContainer hooks are programs of the image: a static one. */
const inImage = { from: '/bin/busybox', path: '/true' };

describe('a kill at any step', () => {
  let host: Playground;
  let bundle: string;

  before(() => {
    host = new Playground();
    needs(inImage.from);
    bundle = host.bundle('time', ['forever'], (spec) => {
      const hook = { path: '/bin/true' };
      const { path } = inImage;
      spec.hooks = {
        ...{ prestart: [hook], createContainer: [hook], startContainer: [{ path }] },
        ...{ poststart: [hook], poststop: [hook] },
      };
      // So that init has every step to do.
      const { linux } = spec;
      linux.namespaces = [...(linux.namespaces ?? []), { type: 'user' }];
      linux.uidMappings = linux.gidMappings = [{ containerID: 0, hostID: 200_000, size: 1000 }];
    });
    copyFileSync(inImage.from, join(bundle, 'rootfs', inImage.path));
  });
  after(async () => {
    await host.close();
  });

  for (const fault of faults) {
    it(`(${fault}) leaves nothing that delete --force does not remove`, async () => {
      const env = { ...process.env, RUNNC_FAULT: fault };
      const pidFile = `${host.folder}/pid`;
      const calls = [
        ['create', '--pid-file', pidFile, '--bundle', bundle, 'victim'],
        ['start', 'victim'],
        ['delete', '--force', 'victim'],
      ];
      let struck: string | undefined;
      for (const call of calls) {
        const { status } = await host.runnc(call, { env });
        struck ??= status === 0 ? undefined : `${String(call[0])} ended with ${String(status)}`;
      }
      expect(struck, 'the fault').to.match(fault.startsWith('init') ? / 1$/ : / 137$/);

      expect(await host.runnc(['delete', '--force', 'victim'])).to.include({ status: 0, stderr: '' });
      // An init whose runtime died before it was told of anybody ends by itself.
      await until(() => Promise.resolve(host.leftovers().length === 0), 'nothing is left').catch(() => {
        expect(host.leftovers()).to.deep.equal([]);
      });
      await host.create('victim', bundle);
      expect(await host.runnc(['delete', 'victim'])).to.include({ status: 0, stderr: '' });
    });
  }
});
