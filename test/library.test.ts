/** The package as its users import it: by name, from dist/lib, under plain Node. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { Playground } from './support/bundle.ts';
import { unikernel } from './support/paths.ts';

const project = join(import.meta.dirname, '..');

/** Runs a module in a Node of its own; the package's name is known in the project's folder. */
async function inNode(module: string, ...args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--input-type=module', '--eval', module, ...args],
    { cwd: project },
  );
  return stdout;
}

describe('the library', () => {
  let host: Playground;
  before(() => {
    host = new Playground();
  });
  after(async () => {
    await host.close();
  });

  it('runs a bundle and tells how its program ended', async () => {
    const bundle = host.bundle('exit', ['exit', '7']);
    const output = await inNode(
      `import { run } from 'runnc';
       const [bundle, root] = process.argv.slice(1);
       console.log(JSON.stringify(await run({ id: 'library', bundle, root })));`,
      bundle,
      host.root,
    );
    expect(JSON.parse(output)).to.deep.equal({ type: 'exited', code: 7 });
    expect(host.leftovers()).to.deep.equal([]);
  });

  it('inspects a unikernel', async () => {
    const output = await inNode(
      `import { inspect } from 'runnc';
       console.log(inspect(process.argv[1]).kind);`,
      unikernel('hello'),
    );
    expect(output).to.equal('solo5\n');
  });

  it('throws errors with a code', async () => {
    const output = await inNode(
      `import { Container, RunncError } from 'runnc';
       try { Container.load('nobody', { root: process.argv[1] }); }
       catch (error) { console.log(error instanceof RunncError, error.code, error.message); }`,
      host.root,
    );
    expect(output).to.equal('true NOT_FOUND container does not exist\n');
  });
});
