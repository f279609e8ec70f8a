import { expect } from 'chai';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RunncError } from '../errors.ts';
import { parseResources, readBundle } from './bundle.ts';
import { fullSpec } from '../../test/support/full-spec.ts';
import { specSchema } from './spec-schema.ts';
import { templateSpec } from './spec-template.ts';

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
type Path = readonly (string | number)[];

/** What config.md and config-linux.md of the runtime-spec call required, and a runtime cannot do without. */
const REQUIRED = [
  ...['ociVersion', 'process', 'process.args', 'process.cwd', 'root', 'root.path'],
  ...['width', 'height'].map((name) => `process.consoleSize.${name}`),
  ...['type', 'soft', 'hard'].map((name) => `process.rlimits.[].${name}`),
  ...['process.scheduler.policy', 'process.ioPriority.class', 'mounts.[].destination'],
  ...['prestart', 'createRuntime', 'createContainer', 'startContainer', 'poststart', 'poststop'].map(
    (kind) => `hooks.${kind}.[].path`,
  ),
  // The maps as a whole: with a new user namespace.
  ...['linux.uidMappings', 'linux.gidMappings', 'linux.namespaces.[].type'],
  ...['linux.uidMappings', 'linux.gidMappings', 'mounts.[].uidMappings', 'mounts.[].gidMappings'].flatMap(
    (map) => ['containerID', 'hostID', 'size'].map((name) => `${map}.[].${name}`),
  ),
  ...['linux.devices.[].path', 'linux.devices.[].type', 'linux.resources.devices.[].allow'],
  ...['ReadBps', 'WriteBps', 'ReadIOPS', 'WriteIOPS'].flatMap((kind) =>
    ['major', 'minor', 'rate'].map((name) => `linux.resources.blockIO.throttle${kind}Device.[].${name}`),
  ),
  ...['major', 'minor'].map((name) => `linux.resources.blockIO.weightDevice.[].${name}`),
  ...['pageSize', 'limit'].map((name) => `linux.resources.hugepageLimits.[].${name}`),
  ...['name', 'priority'].map((name) => `linux.resources.network.priorities.[].${name}`),
  ...['defaultAction', 'syscalls.[].names', 'syscalls.[].action'].map((name) => `linux.seccomp.${name}`),
  ...['index', 'value', 'op'].map((name) => `linux.seccomp.syscalls.[].args.[].${name}`),
  ...['linux.memoryPolicy.mode', 'linux.personality.domain'],
];

describe('a bundle', () => {
  let folder: string;

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'runnc-bundle-'));
    mkdirSync(join(folder, 'rootfs'));
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });

  function write(text: string): void {
    writeFileSync(join(folder, 'config.json'), text);
  }

  /** What reading it fails with. */
  function failure(): string {
    try {
      readBundle(folder);
    } catch (error) {
      expect(error).to.be.instanceOf(RunncError);
      const { code, message } = error as RunncError;
      expect(code).to.equal('INVALID');
      expect(message).not.to.include('\n');
      return message;
    }
    return 'nothing';
  }

  /** The full config with one change; a value of undefined removes the field. */
  function changed(path: Path, value: Json | undefined): string {
    const config = clone();
    let parent: Json = config;
    for (const key of path.slice(0, -1)) parent = (parent as Record<string | number, Json>)[key] as Json;
    const last = path.at(-1) as string | number;
    // JSON leaves out what is undefined.
    (parent as Record<string | number, Json | undefined>)[last] = value;
    return JSON.stringify(config);
  }

  it('that uses every field of the specification is read', () => {
    write(JSON.stringify(fullSpec));
    const bundle = readBundle(folder);
    expect(bundle.spec).to.deep.equal(fullSpec);
    expect(bundle.rootfs).to.equal(`${bundle.path}/rootfs`);
  });

  it('that runnc spec writes is read', () => {
    for (const options of [{}, { rootless: { uid: 1000, gid: 1000 } }]) {
      write(JSON.stringify(templateSpec(options)));
      expect(readBundle(folder).spec).to.deep.equal(templateSpec(options));
    }
  });

  it('with any field of a wrong type is refused in one line that names the field', () => {
    let count = 0;
    for (const path of everyPath(clone(), [])) {
      for (const wrong of [{}, [], 'x\0', true, 0.5, 1e300]) {
        if (isSameKind(wrong, valueAt(clone(), path))) continue;
        write(changed(path, wrong));
        expect(failure()).to.match(pattern(path), JSON.stringify(wrong));
        count++;
      }
    }
    expect(count).to.be.greaterThan(1000);
  });

  it('with null for an optional field is read as if the field were not there', () => {
    for (const path of everyPath(clone(), [])) {
      if (typeof path.at(-1) === 'number') continue;
      write(changed(path, undefined));
      const without = failure();
      write(changed(path, null));
      // The keys of a map are the writer's own: null is no value for them.
      if (!/\["/.test(failure())) expect(failure()).to.equal(without, path.join('.'));
    }
  });

  it('has a field for each that the schema knows in what these tests change', () => {
    expect(fieldsNotIn(clone())).to.deep.equal([]);
    expect(fieldsNotIn(JSON.parse(changed(['process'], undefined)) as Json)).to.deep.equal(['process']);
  });

  it('without a required field is refused, whichever it is', () => {
    const required = new Set<string>();
    for (const path of everyPath(clone(), [])) {
      if (typeof path.at(-1) === 'number') continue;
      write(changed(path, undefined));
      const message = failure();
      // Others are missed only by what needs them: a hostname without the namespaces it is set in.
      if (!message.includes('is required')) continue;
      expect(message).to.match(pattern(path));
      required.add(path.map((key) => (typeof key === 'number' ? '[]' : key)).join('.'));
    }
    expect([...required].sort()).to.deep.equal([...REQUIRED].sort());
  });

  const mistakes: readonly (readonly [string, Path, Json, string])[] = [
    ['an empty args', ['process', 'args'], [], 'process.args: expected a non-empty array of strings'],
    ['an empty program name', ['process', 'args'], [''], 'process.args[0]: expected the name of a program'],
    ['a NUL in an argument', ['process', 'args'], ['a\0b'], 'process.args[0]: expected a string'],
    ['a relative cwd', ['process', 'cwd'], 'tmp', 'process.cwd: expected an absolute path, got "tmp"'],
    ['version 2', ['ociVersion'], '2.0.0', 'ociVersion: expected a version 1.x'],
    [
      'an unknown namespace',
      ['linux', 'namespaces', 0, 'type'],
      'net',
      'linux.namespaces[0].type: expected one of',
    ],
    [
      'a namespace twice',
      ['linux', 'namespaces', 1, 'type'],
      'pid',
      'linux.namespaces[1].type: "pid" is there twice',
    ],
    [
      'a namespace that is not there',
      ['linux', 'namespaces', 1, 'path'],
      '/nope',
      'linux.namespaces[1].path: "/nope" does not exist',
    ],
    [
      'a relative namespace path',
      ['linux', 'namespaces', 1, 'path'],
      'nope',
      'linux.namespaces[1].path: expected an absolute path',
    ],
    ['a rootfs that is not there', ['root', 'path'], 'nope', 'does not exist'],
    ['a rootfs that is a file', ['root', 'path'], 'config.json', 'is not a directory'],
    [
      'a rlimit twice',
      ['process', 'rlimits'],
      [
        { type: 'RLIMIT_CPU', soft: 1, hard: 1 },
        { type: 'RLIMIT_CPU', soft: 1, hard: 1 },
      ],
      'process.rlimits[1].type: RLIMIT_CPU is there twice',
    ],
    [
      'a soft limit above the hard one',
      ['process', 'rlimits', 0, 'soft'],
      2048,
      'process.rlimits[0].soft: 2048 is more than the hard limit 1024',
    ],
    [
      'an oom score out of range',
      ['process', 'oomScoreAdj'],
      1001,
      'process.oomScoreAdj: expected an integer from -1000 to 1000, got 1001',
    ],
    [
      'a negative uid',
      ['process', 'user', 'uid'],
      -1,
      'process.user.uid: expected an integer from 0 to 4294967295, got -1',
    ],
    [
      'a relative hook',
      ['hooks', 'poststop', 0, 'path'],
      'true',
      'hooks.poststop[0].path: expected an absolute path',
    ],
    [
      'a hook without time',
      ['hooks', 'poststop', 0, 'timeout'],
      0,
      'hooks.poststop[0].timeout: expected an integer from 1',
    ],
    [
      'a sysctl of the host',
      ['linux', 'sysctl'],
      { 'kernel.panic': '1' },
      'linux.sysctl["kernel.panic"]: belongs to no namespace',
    ],
    [
      'a sysctl that leaves its folder',
      ['linux', 'sysctl'],
      { 'net./../kernel/panic': '1' },
      'belongs to no namespace',
    ],
    [
      'a mapping of nothing',
      ['linux', 'uidMappings', 0, 'size'],
      0,
      'linux.uidMappings[0].size: expected an integer from 1',
    ],
    [
      'an unknown clock',
      ['linux', 'timeOffsets'],
      { realtime: {} },
      'linux.timeOffsets: expected "monotonic" or "boottime"',
    ],
    ['an annotation that is no text', ['annotations', 'a'], 1, 'annotations["a"]: expected a string, got 1'],
    [
      'a memory limit below -1',
      ['linux', 'resources', 'memory', 'limit'],
      -2,
      'linux.resources.memory.limit: expected bytes',
    ],
  ];
  for (const [what, path, value, message] of mistakes) {
    it(`with ${what} is refused`, () => {
      write(changed(path, value));
      expect(failure()).to.include(`config.json: `).and.include(message);
    });
  }

  it('whose settings need a namespace that is not made is refused', () => {
    for (const [type, field] of [
      ['uts', 'hostname'],
      ['time', 'linux.timeOffsets'],
      ['user', 'linux.uidMappings'],
      ['network', 'linux.sysctl["net.ipv4.ip_forward"]'],
    ]) {
      const config = clone() as { linux: { namespaces: { type: string }[] } };
      config.linux.namespaces = config.linux.namespaces.filter((namespace) => namespace.type !== type);
      write(JSON.stringify(config));
      expect(failure()).to.include(`config.json: ${field}: needs a namespace of its own`);
    }
  });

  it('with unknown fields anywhere is read', () => {
    write(changed(['process', 'futureField'], { a: [1] }));
    expect(readBundle(folder).spec.process.args).to.deep.equal(['/hello.spt']);
  });

  it('of any version 1.x is read', () => {
    for (const version of ['1.0.0', '1.0.2-dev', '1.2.1', '1.3.0+dev', '1.99.0']) {
      write(changed(['ociVersion'], version));
      expect(readBundle(folder).spec.ociVersion).to.equal(version);
    }
  });

  it('with numbers that JSON rounds, as Go callers write for "no limit", is read', () => {
    write(
      changed(['linux', 'resources', 'memory', 'limit'], 1).replace(
        '"limit":1,',
        '"limit":9223372036854771712,',
      ),
    );
    expect(readBundle(folder).spec.linux?.resources?.memory?.limit).to.be.greaterThan(2 ** 62);
    write(changed(['process', 'rlimits', 0, 'hard'], 7).replace('"hard":7', '"hard":18446744073709551615'));
    expect(readBundle(folder).spec.process.rlimits?.[0]?.hard).to.equal(2 ** 64);
  });

  it('whose config.json is no JSON is refused with the place of the mistake', () => {
    for (const text of ['', '{', '{"a": }', '[1,', '\0', '{"ociVersion": "1.0.0",}']) {
      write(text);
      expect(failure()).to.match(/^config\.json: is not JSON: /);
    }
  });

  it('whose config.json is no object is refused', () => {
    for (const text of ['[]', '1', 'null', '"x"']) {
      write(text);
      expect(failure()).to.match(/^config\.json: expected an object, got /);
    }
  });

  it('whose config.json is larger than 16 MiB is refused unread', () => {
    write('{}');
    truncateSync(join(folder, 'config.json'), 2 ** 40);
    expect(failure()).to.match(/^config\.json: 1099511627776 bytes are more than the allowed 16 MiB$/);
  });

  it('without a config.json is refused in the words of runc', () => {
    rmSync(join(folder, 'config.json'));
    expect(failure()).to.include('JSON specification file config.json not found');
  });

  it('whose config.json is a folder is refused', () => {
    mkdirSync(join(folder, 'config.json'));
    expect(failure()).to.include('config.json');
    rmSync(join(folder, 'config.json'), { recursive: true });
  });

  it('is found through a symbolic link and named by its real path', () => {
    write(JSON.stringify(fullSpec));
    symlinkSync(folder, `${folder}.link`);
    try {
      expect(readBundle(`${folder}.link`).path).to.equal(readBundle(folder).path);
    } finally {
      rmSync(`${folder}.link`);
    }
  });

  it('that is not there is refused', () => {
    expect(() => readBundle(`${folder}/nope`)).to.throw(RunncError, /^bundle ".*\/nope" does not exist$/);
  });

  it('has its resources checked alone for update', () => {
    expect(parseResources('{"memory":{"limit":1},"cpu":null}', 'standard input')).to.deep.equal({
      memory: { limit: 1 },
    });
    expect(() => parseResources('{"pids":{"limit":"1"}}', 'standard input')).to.throw(
      RunncError,
      'standard input: pids.limit: expected an integer, got "1"',
    );
  });
});

/** What the schema asks for and no item of an array has, or no object. */
function fieldsNotIn(config: Json): readonly string[] {
  const missing = new Set<string>();
  const found = new Set<string>();
  const watched = (value: Json, path: string): Json => {
    if (typeof value !== 'object' || value === null) return value;
    return new Proxy(value, {
      get(target, key): unknown {
        const child: unknown = Reflect.get(target, key);
        if (typeof key === 'symbol') return child;
        const name = `${path === '' ? '' : `${path}.`}${/^\d+$/.test(key) ? '[]' : key}`;
        (child === undefined ? missing : found).add(name);
        return watched(child as Json, name);
      },
    });
  };
  specSchema.check(watched(config, ''), '');
  return [...missing].filter((name) => !found.has(name));
}

function clone(): Json {
  // Not structuredClone: parts that the fixture uses twice must come apart.
  return JSON.parse(JSON.stringify(fullSpec)) as Json;
}

function* everyPath(value: Json, path: Path): Generator<Path> {
  if (path.length > 0) yield path;
  if (typeof value !== 'object' || value === null) return;
  for (const [key, child] of Array.isArray(value) ? value.entries() : Object.entries(value)) {
    yield* everyPath(child, [...path, key]);
  }
}

function valueAt(value: Json, path: Path): Json {
  let at = value;
  for (const key of path) at = (at as Record<string | number, Json>)[key] as Json;
  return at;
}

/** Would the specification take it there? */
function isSameKind(wrong: Json, right: Json): boolean {
  if (Array.isArray(right)) return Array.isArray(wrong);
  if (typeof right === 'object') return typeof wrong === 'object' && !Array.isArray(wrong);
  return typeof wrong === typeof right && wrong !== 'x\0' && wrong !== 0.5 && wrong !== 1e300;
}

/** `config.json: a.b[0].c: ` for a path; a key chosen by the writer stands in brackets. */
function pattern(path: Path): RegExp {
  const text = path
    .map((key) =>
      typeof key === 'number' ? `\\[${String(key)}\\]` : `(?:\\.?${escape(key)}|\\["${escape(key)}"\\])`,
    )
    .join('');
  return new RegExp(`^config\\.json: ${text}: `);
}

function escape(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
