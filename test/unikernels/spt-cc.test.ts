import { expect } from 'chai';
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { inspect } from '../../src/guest/inspect.ts';
import { dist, type Outcome, scratchFolder, Tender } from './guest.ts';

const HELLO = `
  #include "solo5.h"
  int solo5_app_main(const struct solo5_start_info *info)
  { (void)info; solo5_console_write("hello\\n", 6); return 0; }`;
const NO_DEVICES = { type: 'solo5.manifest', version: 1, devices: [] };

describe('spt-cc', () => {
  const tender = new Tender(join(dist, 'tender-spt'));
  const folder = scratchFolder();
  const write = (name: string, content: string): string => {
    writeFileSync(join(folder, name), content);
    return name;
  };
  const sptCc = (
    args: readonly string[],
    options: { path?: string; env?: NodeJS.ProcessEnv } = {},
  ): Outcome => {
    const result = spawnSync(options.path ?? join(dist, 'spt-cc'), args, {
      cwd: folder,
      env: { ...process.env, ...options.env },
    });
    return { end: result.signal ?? result.status, stdout: result.stdout, stderr: result.stderr.toString() };
  };
  const build = (source: string, ...more: string[]): Outcome =>
    sptCc(['-o', 'x.spt', write('x.c', source), 'manifest.json', ...more]);
  const run = (...options: string[]): Outcome => tender.run({ options, kernel: join(folder, 'x.spt') });
  const expectBuilt = ({ end, stderr }: Outcome): void => {
    expect({ end, stderr }).to.deep.equal({ end: 0, stderr: '' });
  };
  /** One line on stderr that matches, status 1, no output file. */
  const expectRefused = (outcome: Outcome, message: RegExp): void => {
    expect(outcome.stderr).to.match(message);
    expect(outcome.stderr.trimEnd().split('\n')).to.have.lengthOf(1);
    expect(outcome.end).to.equal(1);
    expect(readdirSync(folder).filter((name) => name.includes('refused'))).to.deep.equal([]);
  };

  before(() => {
    write('manifest.json', JSON.stringify(NO_DEVICES));
  });

  it('builds a unikernel that the tender runs', () => {
    expectBuilt(build(HELLO));
    expect(run()).to.deep.include({ end: 0, stdout: Buffer.from('hello\n') });
  });

  it('needs nothing but what lies beside it, wherever that is and however it is called', () => {
    const home = join(folder, 'a copy');
    mkdirSync(home);
    cpSync(join(dist, 'spt-cc'), join(home, 'spt-cc'));
    cpSync(join(dist, 'solo5'), join(home, 'solo5'), { recursive: true });
    symlinkSync('a copy/spt-cc', join(folder, 'cc-link'));
    write('x.c', HELLO);
    expectBuilt(sptCc(['-o', 'x.spt', 'x.c', 'manifest.json'], { path: join(folder, 'cc-link') }));
    expect(run().stdout.toString()).to.equal('hello\n');
  });

  it('builds the same file from the same sources', () => {
    expectBuilt(build(HELLO));
    const first = readFileSync(join(folder, 'x.spt'));
    expectBuilt(build(HELLO));
    expect(readFileSync(join(folder, 'x.spt')).equals(first)).to.equal(true);
  });

  it('takes several sources, assembler, objects and flags for gcc', () => {
    write(
      'answer.S',
      '.globl answer\n.text\nanswer: mov $ANSWER, %eax\n ret\n.section .note.GNU-stack,"",@progbits\n',
    );
    write('double.c', 'int twice(int n);\nint twice(int n) { return n * 2; }\n');
    write(
      'main.c',
      `#include "solo5.h"
       int answer(void); int twice(int n);
       int solo5_app_main(const struct solo5_start_info *i) { (void)i; return twice(answer()); }`,
    );
    const gcc = spawnSync('gcc', ['-ffreestanding', '-fno-pic', '-c', 'double.c'], { cwd: folder });
    expect(gcc.status).to.equal(0);
    expectBuilt(
      sptCc(['main.c', 'answer.S', 'double.o', 'manifest.json', '-o', 'x.spt', '--', '-DANSWER=21']),
    );
    expect(run().end).to.equal(42);
  });

  it('writes the devices of the manifest into the note, in order', () => {
    const devices = Array.from({ length: 63 }, (_, i) => ({
      name: `${i}${'x'.repeat(i)}`,
      type: i % 2 === 0 ? 'BLOCK_BASIC' : 'NET_BASIC',
    }));
    write('many.json', JSON.stringify({ ...NO_DEVICES, devices }));
    write('x.c', HELLO);
    expectBuilt(sptCc(['-o', 'x.spt', 'x.c', 'many.json']));
    expect(inspect(join(folder, 'x.spt'))).to.deep.include({
      kind: 'solo5',
      abi: { target: 'spt', version: 2 },
      manifest: { version: 1, devices },
    });
  });

  it('makes segments that are never writable and executable, and a file that the host will not execute', () => {
    expectBuilt(build(HELLO));
    const inspection = inspect(join(folder, 'x.spt'));
    if (inspection.kind !== 'solo5') throw new Error(inspection.kind);
    expect(inspection.segments.some(({ executable }) => executable)).to.equal(true);
    expect(inspection.segments.some((s) => s.executable && s.writable)).to.equal(false);
    const result = spawnSync(join(folder, 'x.spt'), []);
    expect(result.error).to.have.property('code', 'ENOENT'); // its interpreter
  });

  it('brings the functions that gcc calls by itself, unless the program has its own', () => {
    const copies = `
      #include "solo5.h"
      struct big { char bytes[100000]; };
      static struct big a, b;
      int solo5_app_main(const struct solo5_start_info *info)
      { a.bytes[99999] = info->cmdline[0] == 0 ? 7 : 8; __asm__ volatile("" ::: "memory"); b = a; return b.bytes[99999]; }`;
    expectBuilt(build(copies));
    expect(run().end).to.equal(7);
    expectBuilt(
      build(`${copies}
        void *memcpy(void *to, const void *from, size_t n) { (void)from; (void)n; ((char *)to)[99999] = 99; return to; }`),
    );
    expect(run().end).to.equal(99);
  });

  it('lets a program have names that the bindings use inside', () => {
    expectBuilt(
      build(`${HELLO}
        int spt_boot = 1, spt_puts = 2, spt_device = 3, boot = 4;`),
    );
    expect(run().end).to.equal(0);
  });

  describe('thread-local storage in a program with', () => {
    const program = (variables: string, test: string): string => `
      #include "solo5.h"
      ${variables}
      static char memory[8192];
      int solo5_app_main(const struct solo5_start_info *info)
      { (void)info;
        for (unsigned i = 0; i < sizeof memory; i++) memory[i] = 0x55;
        if (solo5_tls_size() > sizeof memory) return 1;
        if (solo5_tls_init((uintptr_t)memory + 1) != SOLO5_R_OK) return 2;
        if (memory[0] != 0x55 || memory[1 + solo5_tls_size()] != 0x55) return 3;
        if (solo5_set_tls_base(solo5_tls_tp_offset((uintptr_t)memory + 1)) != SOLO5_R_OK) return 4;
        return (${test}) ? 0 : 5; }`;
    for (const [what, variables, test] of [
      ['none of it', '', '1'],
      [
        'initial values only',
        '__thread volatile short a = 7; __thread volatile char b = 8;',
        'a == 7 && b == 8',
      ],
      ['zeros only', '__thread volatile char a[777]; __thread volatile int b;', 'a[776] == 0 && b == 0'],
      [
        'values aligned to 512 bytes',
        '__thread volatile char a __attribute__((aligned(512))) = 3; __thread volatile char b[3];',
        'a == 3 && b[2] == 0 && ((uintptr_t)&a & 511) == 0',
      ],
      [
        'zeros aligned to 512 bytes',
        '__thread volatile char a = 3; __thread volatile char b[3] __attribute__((aligned(512)));',
        'a == 3 && b[2] == 0 && ((uintptr_t)&b & 511) == 0',
      ],
    ] as const) {
      it(what, () => {
        expectBuilt(build(program(variables, test)));
        expect(run().end).to.equal(0);
      });
    }
  });

  it('gives a unikernel that aborts with one line when memory leaves no room for heap and stack', () => {
    expectBuilt(build(`${HELLO}\nchar big[700 * 1024];`));
    const { end, stdout } = run('--mem=2');
    expect(end).to.equal(255);
    expect(stdout.toString()).to.equal('Solo5: ABORT: not enough memory: give the tender a larger --mem\n');
  });

  describe('refuses with one line', () => {
    const withManifest = (text: string): Outcome =>
      sptCc(['-o', 'refused.spt', write('x.c', HELLO), write('bad.json', text)]);
    const device = (name: unknown, type: unknown = 'NET_BASIC'): string =>
      JSON.stringify({
        ...NO_DEVICES,
        devices: [
          { name: 'first', type: 'NET_BASIC' },
          { name, type },
        ],
      });

    it('a manifest that is not JSON', () => {
      expectRefused(withManifest('{ "type": \n'), /^spt-cc: bad\.json: not JSON: /);
    });
    it('a manifest with another top level', () => {
      expectRefused(withManifest('[1]'), /^spt-cc: bad\.json: top level: must be an object, found \[1\]$/m);
      expectRefused(withManifest('{}'), /top level: field "type" is missing/);
      expectRefused(
        withManifest(JSON.stringify({ ...NO_DEVICES, extra: 1 })),
        /top level: unknown field "extra"/,
      );
    });
    it('another type, version or shape', () => {
      expectRefused(
        withManifest(JSON.stringify({ ...NO_DEVICES, type: 'x' })),
        /type: must be "solo5.manifest"/,
      );
      expectRefused(
        withManifest(JSON.stringify({ ...NO_DEVICES, version: 2 })),
        /version: must be 1, found 2/,
      );
      expectRefused(
        withManifest(JSON.stringify({ ...NO_DEVICES, devices: {} })),
        /devices: must be an array/,
      );
    });
    it('more than 63 devices', () => {
      const devices = Array.from({ length: 64 }, (_, i) => ({ name: `d${i}`, type: 'NET_BASIC' }));
      expectRefused(
        withManifest(JSON.stringify({ ...NO_DEVICES, devices })),
        /devices: too many: 64, at most 63$/m,
      );
    });
    it('two devices of one name', () => {
      expectRefused(
        withManifest(device('first')),
        /devices\[1\]\.name: "first" is the name of devices\[0\] too/,
      );
    });
    it('a device without a proper name', () => {
      expectRefused(withManifest(device('')), /devices\[1\]\.name: "" is empty/);
      expectRefused(
        withManifest(device('a-b')),
        /devices\[1\]\.name: "a-b" may hold only ASCII letters and digits/,
      );
      expectRefused(withManifest(device('ä')), /may hold only ASCII/);
      expectRefused(withManifest(device('x'.repeat(68))), /is longer than 67 characters/);
      expectRefused(withManifest(device(7)), /devices\[1\]\.name: must be a string, found 7/);
    });
    it('a device of an unknown type', () => {
      expectRefused(
        withManifest(device('b', 'USB')),
        /devices\[1\]\.type: must be "BLOCK_BASIC" or "NET_BASIC"/,
      );
      expectRefused(withManifest(device('b', null)), /devices\[1\]\.type: must be/);
    });
    it('a manifest that is not there', () => {
      expectRefused(sptCc(['-o', 'refused.spt', 'x.c', 'none.json']), /^spt-cc: none\.json: ENOENT/);
    });
    it('a wrong command line', () => {
      expectRefused(sptCc(['x.c', 'manifest.json']), /no output file: give -o/);
      expectRefused(sptCc(['-o', 'refused.spt', 'manifest.json']), /no C file given/);
      expectRefused(sptCc(['-o', 'refused.spt', 'x.c']), /no manifest\.json given/);
      expectRefused(sptCc(['-o', 'refused.spt', 'x.c', 'a.json', 'b.json']), /two manifests given/);
      expectRefused(
        sptCc(['-o', 'refused.spt', 'x.c', 'manifest.json', '-Wall']),
        /flags for gcc go after --/,
      );
      expectRefused(sptCc(['-o', 'refused.spt', 'x.rs', 'manifest.json']), /x\.rs is neither/);
      expectRefused(sptCc(['x.c', 'manifest.json', '-o']), /-o needs a file name/);
    });
    it('a compiler that is not there', () => {
      const env = { CC: '/nonexistent/gcc' };
      expectRefused(
        sptCc(['-o', 'refused.spt', 'x.c', 'manifest.json'], { env }),
        /cannot run \/nonexistent\/gcc: .*install gcc or set CC/,
      );
    });
  });

  describe('fails with gcc’s message, and leaves the earlier output alone, when', () => {
    const expectFailed = (source: string, message: RegExp): void => {
      expectBuilt(build(HELLO));
      const before = readFileSync(join(folder, 'x.spt'));
      const { end, stderr } = build(source);
      expect(end).to.equal(1);
      expect(stderr).to.match(message);
      expect(readFileSync(join(folder, 'x.spt')).equals(before)).to.equal(true);
      expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).to.deep.equal([]);
    };

    it('the program is wrong', () => {
      expectFailed('int f(void) { return nothing; }', /x\.c:1:.*nothing/);
    });
    it('there is no solo5_app_main', () => {
      expectFailed('int x;', /undefined reference to .*solo5_app_main/);
    });
    it('it wants the host’s C library', () => {
      expectFailed('#include <stdio.h>\n', /stdio\.h: No such file/);
    });
    it('it has constructors', () => {
      expectFailed(
        `${HELLO}\nint y; __attribute__((constructor)) void f(void) { y = 1; }`,
        /constructors are not run in a unikernel/,
      );
    });
  });

  it('--help shows the usage', () => {
    const { end, stdout } = sptCc(['--help']);
    expect(end).to.equal(0);
    expect(stdout.toString()).to.match(/^usage: spt-cc -o X\.spt/);
    expect(existsSync(join(folder, '--help'))).to.equal(false);
  });
});
