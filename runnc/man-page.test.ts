import { expect } from 'chai';
import { readFileSync } from 'node:fs';
import { MAN_PAGE, manPage } from '../scripts/man-page.ts';

describe('the man page', () => {
  it('says what the command line is (else: npx tsx scripts/man-page.ts)', () => {
    expect(readFileSync(MAN_PAGE, 'utf8')).to.equal(manPage());
  });
});
