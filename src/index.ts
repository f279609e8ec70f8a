/**
 * runnc as a library: everything exported here is documented and kept stable; the rest of src/ is free to change.
 *
 *     import { Container, inspect, run } from 'runnc';
 */
export { RunncError, type ErrorCode } from './errors.ts';
