import { expect } from 'chai';
import { readFileSync } from 'node:fs';
import { GUEST_PAGE, guestPage } from '../../scripts/guest-linux.ts';

describe('docs/guest-linux.md', () => {
  it('lists the calls that the kernel has (else: npx tsx scripts/guest-linux.ts)', () => {
    const page = readFileSync(GUEST_PAGE, 'utf8');
    expect(page).to.equal(guestPage(page));
  });
});
