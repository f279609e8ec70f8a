import { expect } from 'chai';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

const root = join(import.meta.dirname, '..');

/** What Docker calls for each container, `docker kill` and `docker exec`: from where each of these verbs begins. */
const START = [
  'runnc/bundle.ts',
  ...['create', 'start', 'state', 'kill', 'delete', 'run', 'exec'].map((verb) => `runnc/${verb}.ts`),
  ...['create', 'start', 'destroy', 'exec'].map((module) => `src/container/${module}.ts`),
  // Of an image that is there already.
  'src/rootfs/open.ts',
  ...['plan', 'v1', 'v1-limits', 'v2', 'v2-limits'].map((module) => `src/sandbox/cgroups/${module}.ts`),
];

/** `import … from '…'` that is there at run time: not for types alone. */
function imports(source: string): string[] {
  const found: string[] = [];
  for (const [, names = '', from = ''] of source.matchAll(/^import (?!type )([^;]*?)\s*from '([^']+)'/gm)) {
    const list = /^\{([^}]*)\}$/s
      .exec(names)?.[1]
      ?.split(',')
      .map((name) => name.trim());
    if (list?.every((name) => name === '' || name.startsWith('type ')) === true) continue;
    found.push(from);
  }
  return found;
}

/** Every module that is loaded with those, and by which. */
function loaded(start: readonly string[]): Map<string, string> {
  const seen = new Map<string, string>();
  const visit = (module: string, by: string): void => {
    if (seen.has(module)) return;
    seen.set(module, by);
    if (!existsSync(module) || !module.endsWith('.ts')) return;
    for (const from of imports(readFileSync(module, 'utf8'))) {
      visit(from.startsWith('.') ? join(dirname(module), from) : from, module);
    }
  };
  for (const module of start) visit(join(root, module), 'the list');
  return seen;
}

describe('the verbs whose start-up time counts', () => {
  it('load no module of the engine and no package: each costs every call of theirs up to 0.8 ms', () => {
    const modules = loaded(START);
    expect(modules.size, 'the walk finds modules').to.be.greaterThan(40);
    const foreign = [...modules].filter(([module]) => !module.startsWith('/'));
    expect(foreign.map(([module, by]) => `${module} by ${relative(root, by)}`)).to.deep.equal([]);
  });

  it('are found to load one where they do', () => {
    expect([...loaded(['src/keep-addon.ts']).keys()]).to.include('node:fs');
  });
});
