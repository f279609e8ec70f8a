import { features } from '../src/oci/features.ts';
import { printJson } from './output.ts';
import { COMMIT, VERSION } from './version.ts';

export async function run(): Promise<number> {
  printJson(features(VERSION, COMMIT));
  return Promise.resolve(0);
}
