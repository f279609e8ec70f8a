/** Waits for a program to say something, and ends it then. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect } from 'chai';

/** Until its output has `text` in it, as with `docker logs --follow`. */
export async function follow(program: string, args: readonly string[], text: string): Promise<void> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'ignore'] });
  let all = '';
  for await (const chunk of child.stdout) if ((all += String(chunk)).includes(text)) break;
  child.kill();
  await once(child, 'exit');
  expect(all).to.contain(text);
}
