/** RUN npm ci, offline and from a warm cache, in our sandbox and beside runc's under dockerd's classic builder. */
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { Debian } from '../linux-programs/debian.ts';
import { Builders } from '../support/builders.ts';
import { succeed } from '../support/command.ts';
import { NpmRegistry } from '../support/npm-registry.ts';

const QUIET = '--no-audit --no-fund --no-update-notifier --logs-max=0';

describe('RUN npm ci', function () {
  this.timeout(300_000);
  let builders: Builders;
  /** Where nobody listens any more when the images are built. */
  let registryUrl: string;

  before(async () => {
    builders = await Builders.start();
    const debian = Debian.ofThisMachine(['coreutils', 'dash', 'libc-bin', 'libstdc++6', 'sed']);
    try {
      debian.addNode();
      await builders.importImage('node', debian.folder);
    } finally {
      debian.remove();
    }
    await fillContext(builders.context);
  });
  after(() => builders.stop());

  /** A package, its lock file and a cache with all that it depends on. */
  async function fillContext(context: string): Promise<void> {
    const registry = await NpmRegistry.start([
      {
        name: 'left',
        version: '1.2.3',
        manifest: {
          bin: { left: 'bin.js' },
          dependencies: { '@scope/right': '^2.0.0' },
          scripts: { postinstall: 'node make.js' },
        },
        files: {
          'bin.js':
            '#!/usr/bin/env node\nconsole.log(require("./made.json").made, require("@scope/right"));\n',
          'make.js': 'require("fs").writeFileSync("made.json", JSON.stringify({ made: 6 * 7 }));\n',
        },
      },
      { name: '@scope/right', version: '2.1.0', files: { 'index.js': 'module.exports = "right";\n' } },
      { name: 'never', version: '1.0.0', files: { 'index.js': 'module.exports = "never";\n' } },
    ]);
    try {
      const manifest = {
        name: 'app',
        version: '1.0.0',
        dependencies: { left: '^1.0.0' },
        devDependencies: { never: '*' },
      };
      const folder = join(builders.folder, 'app');
      mkdirSync(folder);
      writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest));
      registryUrl = registry.url;
      // Whatever this machine's own configuration says.
      const resolved = '--omit-lockfile-registry-resolved=false';
      const flags = [...QUIET.split(' '), resolved, '--ignore-scripts', '--registry', registryUrl];
      await succeed('npm', ['install', ...flags, '--cache', join(context, 'cache')], { cwd: folder });
      for (const name of ['package.json', 'package-lock.json'])
        copyFileSync(join(folder, name), join(context, name));
    } finally {
      await registry.stop();
    }
  }

  it('leaves the files that runc leaves, and a program that runs', async () => {
    const dockerfile = join(builders.folder, 'Dockerfile');
    const lines = [
      ...['FROM node', 'WORKDIR /app', 'COPY package.json package-lock.json ./', 'COPY cache /cache'],
      `RUN npm ci --offline --omit=dev --cache /cache --registry ${registryUrl} ${QUIET} && rm -rf /cache /root/.npm`,
      'RUN node_modules/.bin/left > printed',
    ];
    writeFileSync(dockerfile, `${lines.join('\n')}\n`);
    const [theirs, ours] = [await builders.docker('classic', dockerfile), await builders.runnc(dockerfile)];
    const app = ({ files }: typeof ours): Readonly<Record<string, string>> =>
      Object.fromEntries(
        Object.entries(files)
          .filter(([path]) => !path.startsWith('usr/'))
          // Times are those of the running.
          .map(([path, line]) => [path, line.replace(/^(-\d+ \d+:\d+) \d+ ?/, '$1 ')]),
      );
    expect(app(ours)).to.deep.equal(app(theirs));
    expect(app(ours)).to.include({
      'app/printed': '-644 0:0 42 right',
      'app/node_modules/left/made.json': '-644 0:0 {"made":42}',
      'app/node_modules/.bin/left': 'l777 0:0 ../left/bin.js',
    });
    expect(app(ours)).not.to.have.any.keys('app/node_modules/never', 'cache');
    expect(Object.keys(ours.files).sort()).to.deep.equal(Object.keys(theirs.files).sort());
  });
});
