/** Which huge page sizes a cgroup counts. */
import { readdirSync } from '../../files.ts';
import { errnoOf } from '../../errors.ts';

/**
 * @param suffix of the file that holds a size's limit: .limit_in_bytes or .max.
 * @returns sizes as the kernel names them: 2MB, 1GB.
 */
export function hugePageSizes(dir: string | undefined, suffix: string): readonly string[] {
  if (dir === undefined) return [];
  try {
    return readdirSync(dir).flatMap((file) => {
      const size = /^hugetlb\.(\d+[KMG]B)(\..*)$/.exec(file);
      return size?.[1] !== undefined && size[2] === suffix ? [size[1]] : [];
    });
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENODEV') return [];
    throw error;
  }
}
