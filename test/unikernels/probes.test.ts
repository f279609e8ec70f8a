import { join } from 'node:path';
import { dist, Tender } from './guest.ts';
import { describeNetwork } from './network.ts';
import { describeProbes } from './probes.ts';

describe('a Solo5 guest in our tender', () => {
  const tender = new Tender(join(dist, 'tender-spt'));
  describeProbes(tender);
  describeNetwork(tender);
});
