/** /proc/self/mountinfo (proc_pid_mountinfo(5)), as far as a rootfs needs it. */
import { readFileSync } from '../files.ts';

export interface MountInfo {
  readonly mountPoint: string;
  readonly fileSystem: string;
  /** The super block's options, still escaped: split them first, then unescape(). */
  readonly superOptions: string;
}

/**
 * The mounts on a folder and inside it, in the order of mounting: of several on one point the last one is seen. `folder`:
 * absolute, without links. A host may have thousands of mounts, and every start comes here: the others are not looked at.
 */
export function readMounts(folder: string): MountInfo[] {
  const inside = folder === '/' ? '/' : `${folder}/`;
  const text = readFileSync('/proc/self/mountinfo', 'utf8');
  // Where the kernel has escaped something, all lines are taken apart.
  const isEscaped = ESCAPED.some((char) => folder.includes(char));
  return parseMountInfo(isEscaped ? text.split('\n') : linesWith(text, folder)).filter(
    ({ mountPoint }) => mountPoint === folder || mountPoint.startsWith(inside),
  );
}

/** In mount points, and what the kernel may add to these. */
const ESCAPED = [' ', '\t', '\n', '\\', '#'];

function linesWith(text: string, part: string): string[] {
  const lines: string[] = [];
  for (let end = 0; ;) {
    const at = text.indexOf(part, end);
    if (at < 0) return lines;
    end = text.indexOf('\n', at);
    if (end < 0) end = text.length;
    lines.push(text.slice(text.lastIndexOf('\n', at) + 1, end));
  }
}

export function parseMountInfo(lines: readonly string[]): MountInfo[] {
  return lines.flatMap((line) => {
    const fields = line.split(' ');
    // Optional fields end with a lone "-"; before it stand at least six others.
    const separator = fields.indexOf('-', 6);
    const [mountPoint, fileSystem, superOptions] = [fields[4], fields[separator + 1], fields[separator + 3]];
    if (separator < 0 || mountPoint === undefined || fileSystem === undefined) return [];
    return [{ mountPoint: unescape(mountPoint), fileSystem, superOptions: superOptions ?? '' }];
  });
}

/** The kernel writes space, tab, newline, backslash and what separates options as \ooo. */
export function unescape(text: string): string {
  if (!text.includes('\\')) return text;
  const bytes = Buffer.from(text).toString('latin1');
  const plain = bytes.replace(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(parseInt(octal, 8) & 255),
  );
  return Buffer.from(plain, 'latin1').toString();
}
