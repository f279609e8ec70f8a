/** `runnc login` and `runnc logout`: docker's credentials, kept where docker keeps them. */
import { createInterface } from 'node:readline';
import { RunncError } from '../src/errors.ts';
import { DEFAULT_REGISTRY, parseReference } from '../src/image/reference.ts';
import { removeCredentials, storeCredentials } from '../src/image/registry/credentials.ts';
import { Repository } from '../src/image/registry/registry.ts';
import { registryOptions } from './image-call.ts';
import { print } from './output.ts';
import type { Call } from './verb.ts';

const MAX_PASSWORD_BYTES = 64 * 1024;

export async function run(call: Call): Promise<number> {
  const {
    options,
    operands: [server],
    log,
  } = call;
  const registry = registryName(server);
  const username = options.text('username') ?? (await ask('Username: '));
  const password = options.flag('password-stdin')
    ? await readPassword()
    : (options.text('password') ?? (await ask('Password: ', { hidden: true })));
  if (username === '' || password === '')
    throw new RunncError('INVALID', 'login: needs a user name and a password');
  const credentials = { type: 'password', username, password } as const;
  const repository = await Repository.connect(parseReference(`${registry}/x`), 'pull', {
    ...registryOptions(call),
    findCredentials: () => Promise.resolve(credentials),
  });
  await repository.check();
  const warning = await storeCredentials(registry, { username, password });
  if (warning !== undefined) log.warn(warning);
  print('Login succeeded\n');
  return 0;
}

export async function logout({ operands: [server] }: Call): Promise<number> {
  const registry = registryName(server);
  const had = await removeCredentials(registry);
  print(had ? `Credentials for ${registry} are removed\n` : `Not logged in to ${registry}\n`);
  return 0;
}

function registryName(server = DEFAULT_REGISTRY): string {
  const host = server.replace(/^https?:\/\//, '').replace(/\/.*$/s, '');
  return parseReference(`${host}/x`).registry;
}

async function readPassword(): Promise<string> {
  let text = '';
  for await (const chunk of process.stdin) {
    text += String(chunk);
    if (text.length > MAX_PASSWORD_BYTES) throw new RunncError('INVALID', 'login: the password is too long');
  }
  return text.replace(/\r?\n$/, '');
}

async function ask(question: string, { hidden = false } = {}): Promise<string> {
  if (!process.stdin.isTTY) {
    throw new RunncError('INVALID', 'login: no terminal to ask on: give --username and --password-stdin');
  }
  const lines = createInterface({ input: process.stdin, output: process.stderr, terminal: true });
  if (hidden) {
    // What is typed is not shown; the question is, before.
    process.stderr.write(question);
    (lines as unknown as { _writeToOutput: () => void })._writeToOutput = () => undefined;
  }
  try {
    return await new Promise((resolve) => {
      lines.question(hidden ? '' : question, resolve);
    });
  } finally {
    lines.close();
    if (hidden) process.stderr.write('\n');
  }
}
