/** What developers do in a mounted folder, as a container does it and as it is done natively: the same files come of it. */
import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { Playground } from '../support/bundle.ts';
import { Debian } from '../linux-programs/debian.ts';

const PACKAGES = [
  ...['base-files', 'binutils', 'coreutils', 'dash', 'diffutils', 'findutils', 'gcc', 'git', 'grep'],
  ...['gzip', 'libc6-dev', 'make', 'sed', 'tar'],
];

/** Both runs leave the same, so nothing of it may depend on the time. */
const GIT = `
export GIT_AUTHOR_DATE='2001-01-01T00:00:00Z' GIT_COMMITTER_DATE='2001-01-01T00:00:00Z'
git config --global user.email a@b.c; git config --global user.name n; git config --global init.defaultBranch main
git config --global safe.directory '*'
git init -q origin; cd origin
for d in 1 2 3 4 5 6 7 8; do mkdir d$d; for f in 1 2 3 4 5 6 7 8 9; do seq $f $((d * 100)) > d$d/f$f; done; git add .; git commit -qm "$d"; done
cd ..; git clone -q origin clone; cd clone; git fsck --strict; git log --format='%H %s'; git gc -q; git repack -adq
echo change >> d3/f4; git status --short; git diff --stat; git checkout -q -b other HEAD~3; git stash list; git log --oneline | wc -l
cd ..; rm -rf origin/.git clone/.git/logs clone/.git/index; find . -type f -print0 | sort -z | xargs -0 sha256sum | grep -v '\\.git/'`;

const MAKE = `
sh /opt/project.sh /data/project; cd project; make -s -j2 test; make -s -q all; echo $?; ./program; echo $?
make -s clean; ls; gcc -O2 -c -o x.o part1.c; gcc -O2 -S -o - part2.c | sha256sum; objdump -d x.o | sha256sum`;

/** Packages of many small files, with a program and a script of their own, packed and installed without a registry. */
const NPM = `
export npm_config_offline=true npm_config_audit=false npm_config_fund=false npm_config_update_notifier=false npm_config_cache=/data/cache
mkdir packages app; cd packages
for p in 1 2 3 4; do
  mkdir -p p$p/lib/a/b
  for f in $(seq 60); do echo "module.exports = '$p.$f'" | tee p$p/lib/f$f.js p$p/lib/a/f$f.js > p$p/lib/a/b/f$f.js; done
  printf '#!/usr/bin/env node\nconsole.log("program", require("../lib/a/b/f7.js"), require("fs").readdirSync(__dirname + "/../lib").length)' > p$p/lib/run.js
  needs=$([ $p -gt 1 ] && printf '"p%s": "1.0.0"' $((p - 1)))
  printf '{"name": "p%s", "version": "1.0.0", "bin": "lib/run.js", "dependencies": {%s}, "scripts": {"postinstall": "node lib/run.js > built"}}' $p "$needs" > p$p/package.json
done
npm pack ./p1 ./p2 ./p3 ./p4 2> /dev/null; cd ../app
echo '{"name": "app", "version": "1.0.0", "dependencies": {"p1": "file:../packages/p1-1.0.0.tgz", "p2": "file:../packages/p2-1.0.0.tgz", "p3": "file:../packages/p3-1.0.0.tgz", "p4": "file:../packages/p4-1.0.0.tgz"}}' > package.json
npm install > /dev/null; node_modules/.bin/p3; node -e 'console.log(require("p4/lib/a/f9.js"))'; ls node_modules/.bin
npm ci > /dev/null; npm uninstall p4 > /dev/null; cd ..; rm -rf cache app/node_modules/.package-lock.json
find . -type f -print0 | sort -z | xargs -0 sha256sum; find . -mindepth 1 -printf '%y %m %p %l\\n' | sort`;

describe('in a mounted folder', function () {
  this.timeout(180_000);
  const host = new Playground();
  let debian: Debian;

  before(() => {
    debian = Debian.ofThisMachine(PACKAGES);
    fs.mkdirSync(debian.path('opt'), { recursive: true });
    fs.cpSync(
      join(import.meta.dirname, '../linux-programs/programs/project.sh'),
      debian.path('opt/project.sh'),
    );
    debian.addNode();
    fs.mkdirSync(debian.path('data'));
  });
  after(async () => {
    await host.close();
    debian.remove();
  });

  for (const [what, script, says] of [
    ['git makes, clones, packs and checks a repository', GIT, /^[0-9a-f]{40} 8$/m],
    ['make and gcc build and test a program', MAKE, /^passed: 3990$/m],
    ['npm packs, installs and removes packages', NPM, /^program 3.7 62$/m],
  ] as const) {
    it(`${what} as natively`, async () => {
      const native = await debian.native(`cd /data\n${script}`);
      expect(native.stdout, native.stderr).to.match(says);
      const volume = fs.mkdtempSync(join(host.folder, 'volume-'));
      const bundle = debian.bundle(host, ['/bin/sh', '-c', `cd /data\n${script}`], (spec) => {
        const mount = { destination: '/data', type: 'bind', source: volume, options: ['rbind', 'rw'] };
        spec.mounts = [...(spec.mounts ?? []), mount];
      });
      const call = host.start(['run', '--bundle', bundle, `volumes-builds-${String(says.source.length)}`]);
      expect(await call.end(120_000)).to.deep.equal(native);
      expect(execFileSync('find', [volume, '-type', 'f']).toString().split('\n').length).to.be.greaterThan(3);
    });
  }
});
