/** What callers parse: log, standard error, exit statuses, the words of errors. */
import { expect } from 'chai';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { specSchema } from '../../src/oci/spec-schema.ts';
import { validate } from '../../src/oci/schema.ts';
import { commands } from '../../runnc/commands.ts';
import { type Draft, Playground } from '../support/bundle.ts';
import { runtime } from '../support/paths.ts';

describe('the command line', () => {
  let host: Playground;

  before(() => {
    host = new Playground();
  });
  after(async () => {
    await host.close();
  });

  it('puts an error in the log as one JSON object a line, on stderr as plain text, and exits with 1', async () => {
    const log = join(host.folder, 'log.json');
    for (const args of [
      ['state', 'nope'],
      ['create', '--bundle', '/nope\n"', 'x'],
    ]) {
      const result = await host.runnc(['--log', log, '--log-format', 'json', ...args]);
      expect(result).to.include({ status: 1, stdout: '' });
      const last = readFileSync(log, 'utf8').trim().split('\n').at(-1) ?? '';
      const entry = JSON.parse(last) as { level: string; msg: string; time: string };
      expect(entry.level).to.equal('error');
      expect(`${entry.msg}\n`).to.equal(result.stderr);
      expect(entry.time).to.match(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/);
    }
    expect(readFileSync(log, 'utf8').trim().split('\n')).to.have.length(2);
  });

  it('writes the log as text by default', async () => {
    const log = join(host.folder, 'log.txt');
    await host.runnc(['--log', log, '--debug', 'kill', 'nope']);
    expect(readFileSync(log, 'utf8')).to.match(
      /^time="[^"]+Z" level=debug msg="runnc kill nope"\ntime="[^"]+Z" level=error msg="container does not exist"\n$/,
    );
  });

  it('still says the error when the log cannot be written', async () => {
    const { status, stderr } = await host.runnc(['--log', '/nope/log', 'state', 'nope']);
    expect(status).to.equal(1);
    expect(stderr).to.include('container does not exist\n');
  });

  it('says for every verb on an unknown container that it does not exist', async () => {
    for (const verb of [
      'start',
      'state',
      'kill',
      'delete',
      'ps',
      'pause',
      'resume',
      'events',
      'exec',
      'checkpoint',
    ]) {
      const result = await host.runnc([verb, 'unknown', ...(verb === 'exec' ? ['ls'] : [])]);
      expect(result, verb).to.deep.equal({ status: 1, stdout: '', stderr: 'container does not exist\n' });
    }
  });

  it('refuses ids that are no file names, in every verb, and makes nothing of them', async () => {
    const bundle = host.bundle('hello');
    for (const id of ['a/b', '..', '.', '', 'a b', '../../../etc', 'ü', 'x'.repeat(2000)]) {
      for (const args of [
        ['create', '-b', bundle, id],
        ['run', '-b', bundle, id],
        ['state', id],
        ['delete', '--force', id],
      ]) {
        const { status, stderr } = await host.runnc(args);
        expect(status, args.join(' ')).to.equal(1);
        expect(stderr).to.match(/^container id: [^\n]+\n$/);
      }
    }
    const { stderr } = await host.runnc(['create', '-b', bundle, 'x'.repeat(1000)]);
    expect(stderr).to.equal('container id: 1000 characters are too many for a file name\n');
    expect((await host.runnc(['list', '-q'])).stdout).to.equal('');
  });

  it('takes every character that runc allows in an id', async () => {
    const id = 'A-z_0.9+b,c';
    await host.create(id, host.bundle('hello'));
    expect((await host.state(id)).id).to.equal(id);
    await host.runnc(['delete', id]);
  });

  it('exits with 3 for an unknown command and with 1 for wrong flags and operands', async () => {
    const statuses: readonly (readonly [readonly string[], number, RegExp])[] = [
      [['frobnicate'], 3, /^unknown command "frobnicate": see "runnc --help"\n$/],
      [['--frob', 'state', 'x'], 1, /^unknown flag --frob\n$/],
      [['state', '--frob', 'x'], 1, /^unknown flag --frob\n$/],
      [['state'], 1, /^state: expected runnc state <container-id>, got 0 operands\n$/],
      [['state', 'a', 'b'], 1, /got 2 operands\n$/],
      [['--log-format', 'xml', 'state', 'a'], 1, /^--log-format: expected "text" or "json", got "xml"\n$/],
      [['create', '--preserve-fds', 'x', 'a'], 1, /^--preserve-fds: expected an integer/],
      [['kill', 'a', 'SIGNOPE'], 1, /does not exist/],
      [['create', '--bundle'], 1, /^--bundle: a value is missing\n$/],
    ];
    for (const [args, status, message] of statuses) {
      const result = await host.runnc(args);
      expect(result.status, args.join(' ')).to.equal(status);
      expect(result.stderr).to.match(message);
    }
  });

  it('takes signals by name and number and refuses what is none', async () => {
    await host.create('signals', host.bundle('time', ['forever']));
    expect(await host.runnc(['kill', 'signals', 'NOPE'])).to.include({
      status: 1,
      stderr: 'unknown signal "NOPE": expected a name such as TERM or a number 1 to 64\n',
    });
    expect((await host.runnc(['kill', 'signals', 'CONT'])).status).to.equal(0);
    expect((await host.runnc(['kill', 'signals', 'sigkill'])).status).to.equal(0);
    await host.reaches('signals', 'stopped');
    await host.runnc(['delete', 'signals']);
  });

  it('prints a version that docker info understands', async () => {
    for (const flag of ['--version', '-v']) {
      expect((await host.runnc([flag])).stdout).to.match(
        /^runnc version \d+\.\d+\.\d+\ncommit: \S+\nspec: 1\.\d+\.\d+\n$/,
      );
    }
  });

  it('has a help for the program and every verb whose first line says what it does', async () => {
    const program = (await host.runnc(['--help'])).stdout;
    expect(program).to.match(/^runnc runs each OCI container/);
    for (const [name, declare] of Object.entries(commands)) {
      const { summary, options } = declare();
      expect(program).to.include(`runnc ${name}`);
      const { status, stdout } = await host.runnc([name, '--help']);
      expect(status).to.equal(0);
      expect(stdout.startsWith(summary.slice(0, 40)), stdout).to.equal(true);
      for (const option of Object.keys(options)) expect(stdout).to.include(`--${option}`);
    }
    expect((await host.runnc(['help', 'kill'])).stdout).to.equal((await host.runnc(['kill', '-h'])).stdout);
    expect((await host.runnc([])).stdout).to.equal(program);
  }).timeout(120_000);

  it('completes verbs, flags, choices and ids', async () => {
    await host.create('known', host.bundle('hello'));
    const complete = async (...words: string[]): Promise<string[]> =>
      (await host.runnc(['__complete', '--', ...words])).stdout.split('\n').slice(0, -1);
    expect(await complete('st')).to.deep.equal(['start', 'state']);
    expect(await complete('--log')).to.deep.equal(['--log', '--log-format']);
    expect(await complete('list', '--format', '')).to.deep.equal(['table', 'json']);
    expect(await complete('--root', host.root, 'start', '')).to.deep.equal(['known']);
    expect(await complete('--root', host.root, 'kill', 'known', 'K')).to.deep.equal(['KILL']);
    expect(await complete('create', '--bundle', '')).to.deep.equal([]);
    await host.runnc(['delete', 'known']);
  });

  it('has completion scripts that their shells can read', async () => {
    const script = (await host.runnc(['completion', 'bash'])).stdout;
    const folder = join(host.folder, 'bin');
    mkdirSync(folder);
    writeFileSync(join(folder, 'runnc'), `#!/bin/sh\nexec ${runtime} "$@"\n`, { mode: 0o755 });
    const test = `${script}\nCOMP_WORDS=(runnc sta); COMP_CWORD=1; _runnc; echo "\${COMPREPLY[@]}"`;
    const result = spawnSync('bash', ['-c', test], {
      env: { PATH: `${folder}:/usr/bin:/bin` },
      encoding: 'utf8',
    });
    expect(result.stdout).to.equal('start state\n');
    expect((await host.runnc(['completion', 'zsh'])).stdout).to.match(/^#compdef runnc\n/);
    expect((await host.runnc(['completion', 'fish'])).stdout).to.include('complete -c runnc');
    expect((await host.runnc(['completion', 'tcsh'])).stderr).to.equal(
      'completion: expected bash, zsh or fish, got "tcsh"\n',
    );
  });

  it('writes a config.json that is a valid one, and does not overwrite one', async () => {
    const folder = join(host.folder, 'spec');
    mkdirSync(folder);
    expect((await host.runnc(['spec', '--bundle', folder])).status).to.equal(0);
    const file = join(folder, 'config.json');
    const spec = validate(specSchema, JSON.parse(readFileSync(file, 'utf8')));
    expect(spec.process?.args).to.deep.equal(['sh']);
    expect(await host.runnc(['spec'], { cwd: folder })).to.include({
      status: 1,
      stderr: 'file config.json exists: remove it first\n',
    });
    writeFileSync(file, '{');
    await host.runnc(['spec', '-b', folder]);
    expect(readFileSync(file, 'utf8')).to.equal('{');
  });

  it('writes a config.json for a program and its flags', async () => {
    const folder = mkdtempSync(join(host.folder, 'spec-'));
    const { status } = await host.runnc(['spec', '--bundle', folder, '--', '/hello.spt', '--bundle']);
    expect(status).to.equal(0);
    const { process: program } = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as Draft;
    expect(program).to.include({ terminal: false });
    expect(program.args).to.deep.equal(['/hello.spt', '--bundle']);
  });

  it('prints its features', async () => {
    const features = JSON.parse((await host.runnc(['features'])).stdout) as {
      ociVersionMin: string;
      hooks: string[];
      linux: { namespaces: string[] };
    };
    expect(features.ociVersionMin).to.equal('1.0.0');
    expect(features.hooks).to.have.length(6);
    expect(features.linux.namespaces).to.include('time');
  });

  it('says what no guest can do', async () => {
    await host.create('plain', host.bundle('hello'));
    for (const args of [
      ['exec', '--process', '/nope', '--detach', 'plain'],
      ['exec', 'plain', 'ls', '--color'],
      ['checkpoint', '--image-path', '/tmp', 'plain'],
      ['restore', 'plain'],
    ]) {
      const { status, stderr } = await host.runnc(args);
      expect(status).to.equal(1);
      expect(stderr).to.match(/^(exec|checkpoint|restore): not supported by (this|any) guest/);
    }
    await host.runnc(['delete', 'plain']);
  });

  it('does not mind when nobody reads its output', () => {
    const shell = (script: string): string => spawnSync('bash', ['-c', script], { encoding: 'utf8' }).stdout;
    expect(shell(`${runtime} --help | head -c1 >/dev/null; echo \${PIPESTATUS[0]}`)).to.equal('0\n');
    expect(shell(`${runtime} state nope 2>&-; echo $?`)).to.equal('1\n');
    expect(shell(`{ ${runtime} state nope; echo $? >&3; } 3>&1 2> >(exec >&- 2>&- <&-)`)).to.equal('1\n');
  });

  it('needs no environment at all', async () => {
    const { status, stdout } = await host.runnc(['run', '-b', host.bundle('hello'), 'bare'], { env: {} });
    expect({ status, stdout }).to.deep.equal({ status: 0, stdout: 'Hello from a unikernel\n' });
  });

  it('leaves a device what it is that is given as the pid file', async () => {
    const device = join(host.folder, 'null');
    execFileSync('mknod', [device, 'c', '1', '3']);
    const args = ['run', '-b', host.bundle('hello'), '--pid-file', device, 'device'];
    expect((await host.runnc(args)).status).to.equal(0);
    expect(lstatSync(device).isCharacterDevice()).to.equal(true);
  });

  it('leaves no file behind where a failed create wanted a pid file', async () => {
    const bundle = host.bundle('hello', [], (spec) => {
      spec.process.args = ['/nope'];
    });
    const pidFile = join(host.folder, 'never');
    await host.runnc(['create', '-b', bundle, '--pid-file', pidFile, 'never']);
    expect(existsSync(pidFile)).to.equal(false);
    const { status, stderr } = await host.runnc([
      'create',
      '-b',
      host.bundle('hello'),
      '--pid-file',
      '/nope/pid',
      'x',
    ]);
    expect(status).to.equal(1);
    expect(stderr).to.match(/^--pid-file: cannot write \/nope\/pid: /);
    expect(host.leftovers()).to.deep.equal([]);
  });
});
