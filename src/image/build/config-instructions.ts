/** Instructions that change no file: each makes a new configuration of the image out of the one before. */
import { posix } from 'node:path';
import { RunncError, shorten } from '../../errors.ts';
import { parseSignal } from '../../oci/signals.ts';
import type { HealthCheck, RunConfig } from '../descriptor.ts';
import type { Instruction } from './dockerfile.ts';
import { Flags } from './instruction-flags.ts';
import { splitWords } from './words.ts';

/** What an instruction needs to know. */
export interface Scope {
  readonly config: RunConfig;
  /** CMD was set in this stage, so that ENTRYPOINT leaves it. */
  readonly hasOwnCmd: boolean;
  /** Puts variables in and takes quotes away. */
  readonly expand: (word: string) => string;
  readonly escape: string;
}

type Apply = (instruction: Instruction, scope: Scope) => RunConfig;

export const DEFAULT_SHELL: readonly string[] = ['/bin/sh', '-c'];

/** By keyword. Each throws INVALID. */
export const configInstructions: Readonly<Record<string, Apply>> = {
  ENV: (instruction, { config, ...scope }) => {
    let { Env = [] } = config;
    for (const [name, value] of pairs(instruction, scope)) Env = withVariable(Env, name, value);
    return { ...config, Env };
  },
  LABEL: (instruction, { config, ...scope }) => ({
    ...config,
    Labels: { ...config.Labels, ...Object.fromEntries(pairs(instruction, scope)) },
  }),
  CMD: (instruction, { config }) => ({ ...config, Cmd: commandOf(instruction, config) }),
  ENTRYPOINT: (instruction, { config, hasOwnCmd }) => {
    const { Cmd, ...rest } = config;
    return {
      ...rest,
      Entrypoint: commandOf(instruction, config),
      // A command of the base image was meant for another program.
      ...(hasOwnCmd && Cmd !== undefined ? { Cmd } : {}),
    };
  },
  USER: (instruction, { config, expand }) => ({ ...config, User: expand(one(instruction)) }),
  EXPOSE: (instruction, { config, expand }) => {
    const ports = words(instruction).flatMap((word) =>
      expand(word).split(/\s+/).filter(Boolean).flatMap(portsOf),
    );
    const added = ports.map((port) => [port, {}] as const);
    return { ...config, ExposedPorts: { ...config.ExposedPorts, ...Object.fromEntries(added) } };
  },
  VOLUME: (instruction, { config, expand }) => {
    const paths = (instruction.json ?? words(instruction)).map(expand);
    if (paths.length === 0 || paths.includes('')) throw invalid('expected paths');
    const added = paths.map((path) => [path, {}] as const);
    return { ...config, Volumes: { ...config.Volumes, ...Object.fromEntries(added) } };
  },
  STOPSIGNAL: (instruction, { config, expand }) => {
    const signal = expand(one(instruction));
    parseSignal(signal);
    return { ...config, StopSignal: signal };
  },
  HEALTHCHECK: (instruction, { config }) => ({ ...config, Healthcheck: healthcheck(instruction) }),
  SHELL: (instruction, { config }) => {
    if (instruction.json === undefined || instruction.json.length === 0) {
      throw invalid('expected a JSON array such as ["/bin/sh", "-c"]');
    }
    return { ...config, Shell: instruction.json };
  },
  ONBUILD: (instruction, { config }) => {
    const [keyword = ''] = words(instruction);
    if (keyword === '') throw invalid('expected an instruction');
    if (['ONBUILD', 'FROM', 'MAINTAINER'].includes(keyword.toUpperCase())) {
      throw invalid(`${keyword.toUpperCase()} cannot be a trigger`);
    }
    return { ...config, OnBuild: [...(config.OnBuild ?? []), instruction.rest] };
  },
};

/** Without flags but for HEALTHCHECK. */
export function applyConfig(instruction: Instruction, scope: Scope): RunConfig | undefined {
  const { keyword } = instruction;
  const apply = Object.hasOwn(configInstructions, keyword) ? configInstructions[keyword] : undefined;
  if (apply === undefined) return undefined;
  if (keyword !== 'HEALTHCHECK') new Flags(instruction, []);
  if (instruction.rest === '') throw invalid('expected an argument');
  return apply(instruction, scope);
}

/** The last one of a name counts; it keeps the place of the first. */
export function withVariable(env: readonly string[], name: string, value: string): string[] {
  const at = env.findIndex((variable) => variable.startsWith(`${name}=`));
  const variable = `${name}=${value}`;
  return at < 0 ? [...env, variable] : env.with(at, variable);
}

/** Shell form and exec form. */
export function commandOf(
  { json, rest }: Pick<Instruction, 'rest'> & Partial<Pick<Instruction, 'json'>>,
  { Shell = DEFAULT_SHELL }: RunConfig,
): readonly string[] {
  return json ?? [...Shell, rest];
}

/** The new working directory: absolute, without "." and "..". */
export function workingDirectory(path: string, { WorkingDir = '/' }: RunConfig): string {
  if (path === '') throw invalid('expected a path');
  return posix.resolve('/', WorkingDir, path);
}

/** "NAME=value…", and for one pair "NAME value". */
function pairs(
  { rest }: Instruction,
  { expand, escape }: Pick<Scope, 'expand' | 'escape'>,
): [string, string][] {
  const all = splitWords(rest, escape);
  if (!(all[0] ?? '').includes('=')) {
    const [, name = '', value = ''] = /^(\S+)\s+(.*)$/s.exec(rest) ?? [];
    if (name === '') throw invalid(`expected NAME=value, got ${shorten(rest)}`);
    return [[expand(name), expand(value)]];
  }
  return all.map((word) => {
    const equals = word.indexOf('=');
    if (equals < 0) throw invalid(`expected NAME=value, got ${shorten(word)}`);
    const name = expand(word.slice(0, equals));
    if (name === '') throw invalid(`expected a name before "=", got ${shorten(word)}`);
    return [name, expand(word.slice(equals + 1))];
  });
}

export function words({ rest }: Instruction): string[] {
  return rest.split(/\s+/).filter(Boolean);
}

function one(instruction: Instruction): string {
  const [first, second] = words(instruction);
  if (first === undefined || second !== undefined) throw invalid('expected one argument');
  return first;
}

/** "80", "80/udp", "7000-7005/tcp". */
function portsOf(text: string): string[] {
  const [, first, last = first, protocol = 'tcp'] =
    /^(\d{1,5})(?:-(\d{1,5}))?(?:\/(tcp|udp|sctp))?$/i.exec(text) ?? [];
  const [from, to] = [Number(first), Number(last)];
  if (!(from >= 1 && from <= to && to <= 65535)) {
    throw invalid(`expected a port such as 80, 53/udp or 7000-7005, got ${shorten(text)}`);
  }
  return Array.from({ length: to - from + 1 }, (_, i) => `${String(from + i)}/${protocol.toLowerCase()}`);
}

function healthcheck(instruction: Instruction): HealthCheck {
  const flags = new Flags(instruction, ['interval', 'timeout', 'start-period', 'start-interval', 'retries']);
  const [, kind = '', rest = ''] = /^(\S+)\s*(.*)$/s.exec(instruction.rest) ?? [];
  if (kind.toUpperCase() === 'NONE' && rest === '') return { Test: ['NONE'] };
  if (kind.toUpperCase() !== 'CMD' || rest === '') throw invalid('expected NONE, or CMD and a command');
  const retries = Number(flags.text('retries') ?? 0);
  if (!Number.isSafeInteger(retries) || retries < 0) throw invalid('--retries: expected a number');
  const times = {
    Interval: duration('interval', flags),
    Timeout: duration('timeout', flags),
    StartPeriod: duration('start-period', flags),
    StartInterval: duration('start-interval', flags),
  };
  return {
    Test: healthCommand(rest),
    ...Object.fromEntries(Object.entries(times).filter(([, value]) => value !== undefined)),
    ...(retries === 0 ? {} : { Retries: retries }),
  };
}

function healthCommand(text: string): readonly string[] {
  try {
    const value: unknown = JSON.parse(text);
    if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return ['CMD', ...value];
  } catch {
    // The shell form.
  }
  return ['CMD-SHELL', text];
}

const UNITS: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};

/** Of Go: "1m30s", "500ms"; in nanoseconds. */
function duration(name: string, flags: Flags): number | undefined {
  const text = flags.text(name);
  if (text === undefined) return undefined;
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)];
  if (parts.map(([whole]) => whole).join('') !== text || text === '') {
    throw invalid(`--${name}: expected a time such as 30s or 1m30s, got ${shorten(text)}`);
  }
  const total = parts.reduce((sum, [, count, unit = '']) => sum + Number(count) * (UNITS[unit] ?? 0), 0);
  if (total !== 0 && total < 1e6) throw invalid(`--${name}: must be at least 1 ms`);
  return Math.round(total);
}

function invalid(message: string): RunncError {
  return new RunncError('INVALID', message);
}
