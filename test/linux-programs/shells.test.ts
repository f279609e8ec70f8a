/** Scripts of several processes in the Linux guest: each must say the same as natively. */
import { expect } from 'chai';
import { execFileSync, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { dirname, join } from 'node:path';
import { Tree } from '../linux-abi/guest.ts';

const SHELLS: Readonly<Record<string, readonly string[]>> = {
  'busybox sh': ['/bin/busybox', 'sh'],
  dash: ['/usr/bin/dash'],
  bash: ['/usr/bin/bash'],
};

/** What every shell has. */
const SCRIPTS: Readonly<Record<string, string>> = {
  'pipes and statuses': `
    echo one two | tr a-z A-Z | sed s/TWO/three/
    (exit 3); echo $?
    false | true; echo $?
    ! true; echo $?
    sh -c 'kill -TERM $$'; echo $?`,
  redirections: `
    cd /tmp
    { echo out; echo err >&2; } >a 2>b; cat b a
    echo more >>a; wc -l <a
    exec 5>c; echo five >&5; exec 5>&-; cat c
    ls /nowhere 2>/dev/null || echo none`,
  'here-documents': `
    x=5
    cat <<END
    x is $x, and $((x * 2)), and $(echo nested)
END
    cat <<'END'
    $x stays
END
    while read -r a b; do echo "$b $a"; done <<END
1 2
3 4
END`,
  traps: `
    trap 'echo usr1' USR1
    kill -USR1 $$
    (trap 'echo inner; exit 4' EXIT; exit 5); echo $?
    trap 'echo bye' EXIT
    trap '' TERM; kill -TERM $$; echo alive`,
  'background jobs': `
    sleep 100 & p=$!
    kill $p; wait $p; echo $?
    for i in 1 2 3; do (exit $i) & done; wait; echo all
    (sleep 0.1; exit 7) & wait $!; echo $?`,
  'subshells keep to themselves': `
    v=1; (v=2; echo $v); echo $v
    cd /; (cd /tmp; pwd); pwd
    f() { echo "$1-$v"; }; echo "$(f a) $(v=9; f b)"
    n=0; for i in 1 2 3 4 5 6 7 8; do n=$((n + $(echo $i))); done; echo $n`,
  'many processes': `
    i=0; while [ $i -lt 60 ]; do i=$((i + 1)); echo $i | cat; done | sort -n | tail -1
    seq 500 | while read -r x; do echo $x; done | grep -c 7
    seq 200 | xargs -n 10 echo | wc -l`,
};

describe('shells in the Linux guest', function () {
  this.timeout(120_000);
  let tree: Tree;

  before(() => {
    tree = new Tree();
    for (const folder of ['bin', 'tmp', 'proc', 'dev', 'sys', 'usr/bin'])
      fs.mkdirSync(join(tree.folder, folder), { recursive: true });
    fs.copyFileSync('/bin/busybox', join(tree.folder, 'bin/busybox'));
    for (const name of [
      'sh',
      'cat',
      'echo',
      'tr',
      'sed',
      'ls',
      'wc',
      'sleep',
      'sort',
      'tail',
      'seq',
      'grep',
      'xargs',
    ]) {
      fs.symlinkSync('busybox', join(tree.folder, 'bin', name));
    }
    for (const program of ['/usr/bin/bash', '/usr/bin/dash']) addDynamic(tree, program);
    tree.makeImage();
  });
  after(() => tree.remove());

  for (const [shell, command] of Object.entries(SHELLS)) {
    for (const [name, script] of Object.entries(SCRIPTS)) {
      it(`${shell}: ${name}`, async () => {
        const argv = [...command, '-c', script];
        const native = await tree.native(argv);
        expect(native.stdout).not.to.equal('');
        expect(await tree.guest(argv)).to.deep.equal(native);
      });
    }
  }

  it('bash -i on a terminal stops, continues and interrupts jobs', () => {
    const command = tree.guestCommand(['/usr/bin/bash', '--norc', '-i'], {
      config: { tty: { rows: 24, columns: 80 } },
      env: ['PATH=/bin:/usr/bin', 'TERM=dumb', 'PS1=ready> '],
    });
    const driver = join(import.meta.dirname, 'programs/jobs.py');
    const ended = spawnSync('python3', [driver, ...command], { encoding: 'latin1', timeout: 110_000 });
    expect(ended.status, ended.stdout + ended.stderr).to.equal(0);
  });
});

/** A program with what it is linked to, at the same paths. */
function addDynamic(tree: Tree, program: string): void {
  const linked = execFileSync('ldd', [program], { encoding: 'utf8' });
  const libraries = [...linked.matchAll(/(\/\S+) \(0x/g)].map((match) => match[1] ?? '');
  for (const path of [program, ...libraries]) {
    const target = join(tree.folder, path);
    fs.mkdirSync(dirname(target), { recursive: true });
    if (!fs.existsSync(target)) fs.copyFileSync(fs.realpathSync(path), target);
  }
}
