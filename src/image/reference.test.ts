import { expect } from 'chai';
import { normalizeReference, parseReference, shortReference } from './reference.ts';

const DIGEST = `sha256:${'a'.repeat(64)}`;

describe('a reference', () => {
  const normal: readonly (readonly [string, string, string])[] = [
    ['debian', 'docker.io/library/debian:latest', 'debian:latest'],
    ['debian:12', 'docker.io/library/debian:12', 'debian:12'],
    ['me/app', 'docker.io/me/app:latest', 'me/app:latest'],
    ['docker.io/debian', 'docker.io/library/debian:latest', 'debian:latest'],
    ['index.docker.io/library/debian', 'docker.io/library/debian:latest', 'debian:latest'],
    ['localhost/app', 'localhost/app:latest', 'localhost/app:latest'],
    ['localhost:5000/a/b/c:v1', 'localhost:5000/a/b/c:v1', 'localhost:5000/a/b/c:v1'],
    ['[::1]:5000/app', '[::1]:5000/app:latest', '[::1]:5000/app:latest'],
    ['ghcr.io/a/b', 'ghcr.io/a/b:latest', 'ghcr.io/a/b:latest'],
    [`debian@${DIGEST}`, `docker.io/library/debian@${DIGEST}`, `debian@${DIGEST}`],
    [`debian:12@${DIGEST}`, `docker.io/library/debian:12@${DIGEST}`, `debian:12@${DIGEST}`],
    ['a__b/c--d.e_f', 'docker.io/a__b/c--d.e_f:latest', 'a__b/c--d.e_f:latest'],
  ];
  for (const [text, full, short] of normal) {
    it(`${text.replace(DIGEST, 'sha256:…')} is completed as Docker completes it`, () => {
      expect(normalizeReference(text)).to.equal(full);
      expect(shortReference(parseReference(text))).to.equal(short);
      expect(normalizeReference(full)).to.equal(full);
    });
  }

  const wrong: readonly (readonly [string, string])[] = [
    ['', 'is empty'],
    ['Debian', 'must be lower case'],
    ['debian:', 'the tag'],
    [`debian:${'x'.repeat(129)}`, 'the tag'],
    ['debian:a b', 'the tag'],
    ['debian@sha256:12', 'behind "@"'],
    ['debian@md5:d41d8cd98f00b204e9800998ecf8427e', 'behind "@"'],
    ['../../etc/passwd', 'host name'],
    ['a//b', 'is no path of a repository'],
    ['a/../b', 'is no path of a repository'],
    ['-a', 'is no path of a repository'],
    ['a/b/', 'is no path of a repository'],
    ['host_name.x/a', 'is no host name'],
    ['a\nb', 'is no path of a repository'],
    [`a/${'b'.repeat(256)}`, 'longer than 255'],
  ];
  for (const [text, message] of wrong) {
    it(`${JSON.stringify(text.slice(0, 30))} is refused in one line`, () => {
      expect(() => parseReference(text))
        .to.throw(message)
        .with.property('message')
        .that.does.not.contain('\n');
    });
  }
});
