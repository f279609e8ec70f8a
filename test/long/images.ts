/** The base images, built from Debian's packages; each says what it is there for. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect } from 'chai';
import { run, succeed } from '../support/command.ts';
import { GREETING } from '../support/images.ts';
import { runtime } from '../support/paths.ts';

const top = resolve(import.meta.dirname, '../..');
const MINUTE_MS = 60_000;

const smoke: readonly (readonly [string, readonly string[], RegExp])[] = [
  ['hello', [], new RegExp(GREETING)],
  ['base', ['sh', '-c', 'cat /etc/debian_version; ldd --version | head -n 1'], /^12\.\d+\nldd .*GLIBC/],
  ['node', ['node', '-e', 'console.log([1, 2].map((n) => n * 2).join())'], /^2,4\n$/],
  [
    'python',
    ['python3', '-c', 'import ssl, sqlite3, json; print(json.dumps({"a": 6 * 7}))'],
    /^\{"a": 42\}\n$/,
  ],
  ['go-build', ['go', 'version'], /^go version go1\.\d+/],
  ['redis', ['--version'], /^Redis server v=7/],
  ['nginx', ['nginx', '-t'], /test is successful/],
];

describe('the base images', function () {
  // Debian's packages are unpacked and set up.
  this.timeout(120 * MINUTE_MS);

  before(() => succeed('npm', ['run', '--silent', 'images'], { cwd: top, timeoutMs: 115 * MINUTE_MS }));

  for (const [name, command, said] of smoke) {
    it(`${name} runs, from its OCI layout`, async () => {
      const folder = mkdtempSync(join(tmpdir(), 'runnc-images-'));
      try {
        const image = `oci:${top}/dist/images/${name}`;
        const { status, stdout, stderr } = await run(
          runtime,
          ['run', '--store', folder, '--rm', image, ...command],
          { timeoutMs: 5 * MINUTE_MS },
        );
        expect(`${stdout}${stderr}`).to.match(said);
        expect(status).to.equal(0);
      } finally {
        rmSync(folder, { recursive: true });
      }
    });
  }
});
