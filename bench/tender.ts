/** Start-up of the tender alone: hello under dist/tender-spt beside a static hello and, if there, solo5-spt. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { type Bench, rounded } from './bench.ts';
import { benchObj, dist, measure } from './measure.ts';

export const tenderBench: Bench = {
  name: 'tender',
  what: 'start-up of dist/tender-spt with hello, beside a static hello and solo5-spt (SOLO5_SPT or on PATH)',
  run() {
    const solo5 = findSolo5Spt();
    const hello = join(dist, 'unikernels/hello.spt');
    const commands = [[join(benchObj, 'hello')], [join(dist, 'tender-spt'), hello]];
    if (solo5 !== undefined) commands.push([solo5, hello]);
    const [native, tender, peer] = measure(commands, { runs: 200, warmups: 10 });
    if (native === undefined || tender === undefined) throw new Error('the timer returned too few rows');
    return Promise.resolve(
      rounded({
        tenderMs: tender.medianMs,
        staticHelloMs: native.medianMs,
        ratioToStaticHello: tender.medianMs / native.medianMs,
        solo5SptMs: peer?.medianMs,
        ratioToSolo5Spt: peer && tender.medianMs / peer.medianMs,
        peakKiB: tender.peakKiB,
        staticHelloPeakKiB: native.peakKiB,
      }),
    );
  },
};

/** Upstream's tender is in no Debian package; whoever has built it names it. */
function findSolo5Spt(): string | undefined {
  if (process.env['SOLO5_SPT'] !== undefined) return process.env['SOLO5_SPT'];
  try {
    return execFileSync('sh', ['-c', 'command -v solo5-spt'], { encoding: 'utf8' }).trim();
  } catch {
    return undefined;
  }
}
