/** A hundred containers at the same time and a thousand in a row. PARALLEL and IN_A_ROW set other numbers. */
import { describeCrowd } from '../support/crowd.ts';

describeCrowd({
  parallel: Number(process.env['PARALLEL'] ?? 100),
  inARow: Number(process.env['IN_A_ROW'] ?? 1000),
});
