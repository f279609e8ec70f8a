/** Which cgroup hierarchies the host has, and where in them this process is. */
import { readFileSync } from '../../files.ts';
import { lines } from './format.ts';

export interface CgroupMount {
  /** Absolute directory of the mount. */
  readonly dir: string;
  /** The cgroup that is seen at `dir`; "/" but in a container without a cgroup namespace. */
  readonly root: string;
  /** `memory`, `name=systemd` …; for cgroup v2 only `unified`. */
  readonly controllers: readonly string[];
}

export interface CgroupHost {
  /** 1 when at least one controller is a cgroup v1 one; 2 when there is nothing but cgroup v2. */
  readonly version: 1 | 2;
  /** One for each hierarchy; empty when none is mounted. */
  readonly mounts: readonly CgroupMount[];
  /** This process's own cgroup, by controller, as /proc/self/cgroup has it. */
  readonly own: Readonly<Record<string, string>>;
}

export function readHost(): CgroupHost {
  return parseHost(readFileSync('/proc/self/mountinfo', 'utf8'), readFileSync('/proc/self/cgroup', 'utf8'));
}

/** @param mountinfo @param cgroup the texts of the files in /proc/self. */
export function parseHost(mountinfo: string, cgroup: string): CgroupHost {
  const mounts = parseMounts(mountinfo);
  const v1 = mounts.some(({ controllers }) => controllers.some(isRealV1Controller));
  return {
    version: v1 || !mounts.some(({ controllers }) => controllers.includes('unified')) ? 1 : 2,
    mounts: v1 ? mounts : mounts.filter(({ controllers }) => controllers.includes('unified')),
    own: parseOwn(cgroup),
  };
}

function isRealV1Controller(controller: string): boolean {
  return controller !== 'unified' && !controller.startsWith('name=');
}

function parseMounts(mountinfo: string): readonly CgroupMount[] {
  const seen = new Set<string>();
  const mounts: CgroupMount[] = [];
  for (const line of lines(mountinfo)) {
    // proc_pid_mountinfo(5): id parent major:minor root dir options [tag …] - type source super-options
    const separator = line.indexOf(' - cgroup');
    if (separator < 0) continue;
    const [, , , root, dir] = line.slice(0, separator).split(' ');
    const [type, , superOptions] = line.slice(separator + 3).split(' ');
    if (root === undefined || dir === undefined || superOptions === undefined) continue;
    // The first mount of a hierarchy counts; later ones are bind mounts, for example a container's.
    const controllers = (type === 'cgroup2' ? ['unified'] : v1Controllers(superOptions)).filter(
      (controller) => !seen.has(controller),
    );
    if (controllers.length === 0) continue;
    for (const controller of controllers) seen.add(controller);
    mounts.push({ dir: unescape(dir), root: unescape(root), controllers });
  }
  return mounts;
}

const V1_CONTROLLERS = new Set([
  'blkio',
  'cpu',
  'cpuacct',
  'cpuset',
  'devices',
  'freezer',
  'hugetlb',
  'memory',
  'misc',
  'net_cls',
  'net_prio',
  'perf_event',
  'pids',
  'rdma',
]);

function v1Controllers(superOptions: string): readonly string[] {
  return superOptions.split(',').filter((option) => option.startsWith('name=') || V1_CONTROLLERS.has(option));
}

/** Blanks, tabs, newlines and backslashes are \ooo in mountinfo. */
function unescape(text: string): string {
  if (!text.includes('\\')) return text;
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)));
}

function parseOwn(cgroup: string): Readonly<Record<string, string>> {
  const own: Record<string, string> = {};
  for (const line of lines(cgroup)) {
    // hierarchy:controllers:path; the path may hold colons.
    const from = line.indexOf(':') + 1;
    const end = line.indexOf(':', from);
    if (from === 0 || end < 0 || line.charAt(end + 1) !== '/') continue;
    for (const controller of line.slice(from, end).split(',')) {
      own[controller === '' ? 'unified' : controller] = line.slice(end + 1);
    }
  }
  return own;
}
