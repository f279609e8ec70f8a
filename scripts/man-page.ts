/**
 * Writes docs/man/runnc.8 from the declarations of the command line: `npx tsx scripts/man-page.ts`. A test fails when
 * the page is not up to date.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type CommandDeclaration, commands, globalOptions } from '../runnc/commands.ts';
import type { OptionDeclarations } from '../runnc/parse.ts';
import { VERSION } from '../runnc/version.ts';

export const MAN_PAGE = fileURLToPath(new URL('../docs/man/runnc.8', import.meta.url));

/** In man(7). */
export function manPage(): string {
  return [
    `.TH RUNNC 8 "" "runnc ${VERSION}" "System Administration"`,
    '.SH NAME',
    'runnc \\- run containers as host processes that can make only a handful of system calls',
    '.SH SYNOPSIS',
    '.B runnc',
    '[\\fIflags\\fR] \\fIcommand\\fR [\\fIcommand flags\\fR] [\\fIoperands\\fR]',
    '.SH DESCRIPTION',
    ...paragraphs(
      'runnc is an OCI runtime: Docker, Podman and containerd call it in the place of runc.',
      "Inside each container's process is a Solo5 unikernel, one that the image brings or a Linux guest kernel that runs the image's program.",
    ),
    '.SH FLAGS',
    ...flags(globalOptions),
    '.SH COMMANDS',
    ...Object.entries(commands).flatMap(([name, declare]) => commandSection(name, declare())),
    '.SH EXIT STATUS',
    ...paragraphs(
      '0 for success, 1 for an error, 3 for an unknown command. The status of run without --detach is that of the container: 128+N if signal N ended it.',
    ),
    '.SH FILES',
    ...term('/run/runnc', "Where root's containers are kept, one folder each."),
    ...term('$XDG_RUNTIME_DIR/runnc', 'Where those of other users are kept.'),
    ...term(
      '/etc/runnc/config.json',
      'Choices for this host; need not be there. "uidRange": {"start": 1879048192, "size": 65536} are the uids and gids that sandboxes run as, each container one of its own; nobody else may use them.',
    ),
    '.SH SEE ALSO',
    '.BR runc (8),',
    '.BR docker (1),',
    '.BR podman (1)',
    '',
  ].join('\n');
}

function commandSection(name: string, { summary, details, operands, options }: CommandDeclaration): string[] {
  return [
    `.SS ${text(`${name} ${operands}`.trim())}`,
    ...paragraphs(`${summary}.`, ...(details === undefined ? [] : [details])),
    ...flags(options),
  ];
}

function flags(options: OptionDeclarations): string[] {
  return Object.entries(options).flatMap(([name, { short, value, help }]) => {
    const spelled = `${short === undefined ? '' : `-${short}, `}--${name}${value === undefined ? '' : ` ${value}`}`;
    return term(spelled, help);
  });
}

function term(name: string, description: string): string[] {
  return ['.TP', `\\fB${text(name)}\\fR`, line(description)];
}

function paragraphs(...contents: readonly string[]): string[] {
  return contents.flatMap((content) => ['.PP', line(content)]);
}

function text(content: string): string {
  return content.replaceAll('\\', '\\e').replaceAll('-', '\\-');
}

/** A line that begins with a dot or an apostrophe would be a request. */
function line(content: string): string {
  return text(content).replace(/^(?=[.'])/, '\\&');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  mkdirSync(new URL('../docs/man/', import.meta.url), { recursive: true });
  writeFileSync(MAN_PAGE, manPage());
}
