/** What cases find in the image. */
import * as fs from 'node:fs';
import { join } from 'node:path';

export function fillData(data: string): void {
  fs.mkdirSync(join(data, 'dir/inner'), { recursive: true });
  for (const name of ['hello', 'second', 'third', 'fourth', 'extra1', 'extra2']) {
    fs.writeFileSync(join(data, name), `${name} of the image`);
  }
  fs.writeFileSync(join(data, 'hard1'), 'hard');
  fs.linkSync(join(data, 'hard1'), join(data, 'hard2'));
  fs.writeFileSync(join(data, 'dir/inner/leaf'), 'leaf');
  fs.symlinkSync('hello', join(data, 'link'));
  fs.writeFileSync(join(data, 'big'), Buffer.alloc(12_345, 'abcdefg'));
}
