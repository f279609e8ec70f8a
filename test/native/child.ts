/**
 * A whole life of a container in a program of its own (faults and rootless): creates, starts, lets it end. Says each
 * thing on a line of its own: "init PID", "created", "started", the witness's report, "exited CODE", or "error TEXT".
 * argv: JSON of the fields of the plan that differ; then, if it is to have a startContainer hook, "hook". RUNNC_FAULT
 * as for runnc itself.
 */
import { writeSync } from 'node:fs';
import { errorMessage } from '../../src/errors.ts';
import { faultFrom, type LaunchPlan } from '../../src/sandbox/launch-plan.ts';
import { noStates, Sandbox } from './support.ts';

const say = (line: string): void => void writeSync(1, `${line}\n`);

const fault = faultFrom(process.env['RUNNC_FAULT']);
// JSON has no big integers.
const bigints = new Set(['capabilities', 'seconds']);
const changes = JSON.parse(process.argv[2] ?? '{}', (key, value: unknown) =>
  bigints.has(key) ? BigInt(value as number) : value,
) as Partial<LaunchPlan>;
const box = new Sandbox({ ...changes, ...(fault === undefined ? {} : { fault }) });
if (process.argv[3] === 'hook') box.addStartHook();
say(`folder ${box.folder}`);
try {
  const init = await box.create(async ({ pid }) => {
    say(`init ${String(pid)}`);
    return noStates;
  });
  say('created');
  await box.start();
  say('started');
  say(JSON.stringify(await box.report()));
  const status = await box.finish(init);
  say(`exited ${status.type === 'exited' ? String(status.code) : `by signal ${String(status.signal)}`}`);
} catch (error) {
  say(`error ${errorMessage(error)}`);
} finally {
  await box.release();
}
