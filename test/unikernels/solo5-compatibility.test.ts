/**
 * Solo5's own parts, where there are some: SOLO5_SPT names a solo5-spt, SOLO5_TESTS the folder "tests" of a built
 * Solo5 tree. They are not built here; docs/testing.md says how to get them and what the last count was.
 */
import { expect } from 'chai';
import { existsSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { dist, type Outcome, type RunningGuest, scratchFolder, Tender } from './guest.ts';
import { describeNetwork, withTaps } from './network.ts';
import { describeProbes } from './probes.ts';

const { SOLO5_SPT: upstreamTender, SOLO5_TESTS: upstreamTests } = process.env;

if (upstreamTender !== undefined) {
  describe('our unikernels in Solo5’s tender', () => {
    const tender = new Tender(upstreamTender);
    describeProbes(tender);
    describeNetwork(tender);
  });
}

if (upstreamTests !== undefined) {
  describe('Solo5’s own test unikernels in our tender', () => {
    const tender = new Tender(join(dist, 'tender-spt'));
    const folder = scratchFolder();
    const run = (name: string, options: readonly string[] = [], args: readonly string[] = []): Outcome =>
      tender.run({
        options: ['--mem=2', ...options],
        kernel: join(upstreamTests, `test_${name}`, `test_${name}.spt`),
        args,
      });

    for (const [name, ...args] of [
      ['hello', 'Hello_Solo5'],
      ['quiet', '--solo5:quiet'],
      ['globals'],
      ['tls'],
      ['fpu'],
      ['time'],
    ] as const) {
      it(`${name} succeeds`, () => {
        const { end, stdout, stderr } = run(name, [], args);
        expect(stdout.toString(), stderr).to.match(/SUCCESS/);
        expect(end).to.equal(0);
      });
    }

    it('output ends with status 0', () => {
      expect(run('output', [], ['Output_Solo5']).end).to.equal(0);
    });

    it('ssp aborts', () => {
      expect(run('ssp').end).to.equal(255);
    });

    for (const name of ['exception', 'zeropage', 'xnow', 'wnox', 'notls']) {
      it(`${name} dies by SIGSEGV`, () => {
        expect(run(name).end).to.equal('SIGSEGV');
      });
    }

    it('seccomp dies by SIGSYS', () => {
      expect(run('seccomp').end).to.equal('SIGSYS');
    });

    for (const sizes of [[], ['--block-sector-size:storage=4096']]) {
      it(`blk succeeds ${sizes.join(' ')}`, () => {
        const disk = join(folder, 'storage');
        writeFileSync(disk, '');
        truncateSync(disk, 1 << 20);
        const { end, stdout, stderr } = run('blk', [`--block:storage=${disk}`, ...sizes]);
        expect(stdout.toString(), stderr).to.match(/SUCCESS/);
        expect(end).to.equal(0);
      });
    }

    it('mft_maxdevices succeeds', () => {
      const options = Array.from({ length: 63 }, (_, i) => {
        const disk = join(folder, `storage${i}`);
        writeFileSync(disk, Buffer.alloc(4096));
        return `--block:storage${i}=${disk}`;
      });
      const { end, stdout, stderr } = run('mft_maxdevices', options);
      expect(stdout.toString(), stderr).to.match(/SUCCESS/);
      expect(end).to.equal(0);
    });

    describe('with network devices', () => {
      const { namespace, ping } = withTaps();
      const start = (name: string, options: readonly string[], ...args: string[]): RunningGuest =>
        tender.start({
          within: namespace.enter,
          options: ['--mem=2', ...options],
          kernel: join(upstreamTests, `test_${name}`, `test_${name}.spt`),
          args,
        });
      const left = '--net:service0=left';
      const right = '--net:service1=right';

      it('net_mtu finds the MTU of its tap', async () => {
        const { end, stdout } = await start('net_mtu', [left]).ended();
        expect(stdout.toString()).to.match(/MTU is 1500\nSUCCESS/);
        expect(end).to.equal(0);
      });

      it('net answers 100000 echo requests', async () => {
        const guest = start('net', [left], 'limit');
        await guest.printed('Serving ping');
        await ping('10.0.0.2', 100_000, 56);
        const { end, stdout } = await guest.ended();
        expect(stdout.toString()).to.match(/SUCCESS/);
        expect(end).to.equal(0);
      });

      it('net_2if answers on both interfaces', async () => {
        const guest = start('net_2if', [left, right], 'verbose');
        await guest.printed('10.1.0.2');
        await ping('10.0.0.2', 100, 56);
        await ping('10.1.0.2', 100, 56);
        guest.signal('SIGTERM');
        expect((await guest.ended()).end).to.equal(128 + 15);
      });
    });

    it('is a built tree', () => {
      expect(existsSync(join(upstreamTests, 'test_hello/test_hello.spt'))).to.equal(true);
    });
  });
}
