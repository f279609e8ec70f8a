/** A crowd that fits in every run of the suite; test/long/crowd.ts has the large one. */
import { describeCrowd } from '../support/crowd.ts';

describeCrowd({ parallel: 20, inARow: 50 });
