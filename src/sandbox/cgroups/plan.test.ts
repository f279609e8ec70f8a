import { expect } from 'chai';
import { parseHost } from './host.ts';
import { expandSlice, planCgroup } from './plan.ts';

const V1 = parseHost(
  [
    '31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755',
    '32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct',
    '35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory',
    '36 31 0:33 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd',
    '41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate',
    '99 31 0:32 /docker/c /var/lib/x/memory rw,relatime - cgroup cgroup rw,memory',
    '',
  ].join('\n'),
  '4:cpu,cpuacct:/a\n3:memory:/user/b\n1:name=systemd:/init.scope\n0::/u\n',
);

const V2 = parseHost(
  '30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n',
  '0::/user.slice/user-1000.slice/user@1000.service/app.slice/shell.scope\n',
);

const plain = { id: 'c1', systemd: false, rootless: false };

describe('where cgroups go', () => {
  it('is a cgroup v1 host as soon as one controller is mounted the old way', () => {
    expect(V1.version).to.equal(1);
    expect(V2.version).to.equal(2);
  });

  it('is below the mount for an absolute path, in every hierarchy, the unified one included', () => {
    expect(planCgroup({ ...plain, cgroupsPath: '/docker/c1' }, V1)).to.deep.equal({
      version: 1,
      rootless: false,
      paths: {
        cpu: '/sys/fs/cgroup/cpu,cpuacct/docker/c1',
        cpuacct: '/sys/fs/cgroup/cpu,cpuacct/docker/c1',
        memory: '/sys/fs/cgroup/memory/docker/c1',
        'name=systemd': '/sys/fs/cgroup/systemd/docker/c1',
        unified: '/sys/fs/cgroup/unified/docker/c1',
      },
    });
  });

  it('is below the caller for a relative path and without one', () => {
    expect(planCgroup({ ...plain, cgroupsPath: 'x/y' }, V1).paths['memory']).to.equal(
      '/sys/fs/cgroup/memory/user/b/x/y',
    );
    expect(planCgroup(plain, V1).paths['cpu']).to.equal('/sys/fs/cgroup/cpu,cpuacct/a/c1');
  });

  it('is beside the caller on cgroup v2, where a cgroup with processes cannot have limited children', () => {
    expect(planCgroup(plain, V2).paths).to.deep.equal({
      unified: '/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/app.slice/c1',
    });
  });

  it('does not repeat what a container without a cgroup namespace sees as its root', () => {
    const nested = parseHost(
      '35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n',
      '3:memory:/docker/abc/inner\n',
    );
    expect(planCgroup(plain, nested).paths).to.deep.equal({ memory: '/sys/fs/cgroup/memory/inner/c1' });
  });

  for (const cgroupsPath of ['/../../../etc/x', '../../../../etc/x', '/a/../../etc/x']) {
    it(`stays below the mount for ${cgroupsPath}`, () => {
      for (const path of Object.values(planCgroup({ ...plain, cgroupsPath }, V2).paths)) {
        expect(path).to.match(/^\/sys\/fs\/cgroup\/.*etc\/x$/);
      }
    });
  }

  for (const cgroupsPath of ['/', '..', '/a/..', './']) {
    it(`refuses ${cgroupsPath}, which is the root cgroup`, () => {
      expect(() => planCgroup({ ...plain, cgroupsPath }, V1)).to.throw(/^linux\.cgroupsPath: .*root cgroup/);
    });
  }

  it('refuses a NUL byte', () => {
    expect(() => planCgroup({ ...plain, cgroupsPath: '/a\0b' }, V1)).to.throw(
      'linux.cgroupsPath: holds a NUL',
    );
  });

  it('has no paths on a host without cgroups', () => {
    expect(planCgroup(plain, parseHost('1 0 8:1 / / rw - ext4 /dev/sda rw\n', '')).paths).to.deep.equal({});
  });

  it('is the scope in its slice for slice:prefix:name', () => {
    const state = planCgroup({ ...plain, systemd: true, cgroupsPath: 'a-b.slice:docker:c1' }, V1);
    expect(state.systemd).to.deep.equal({ unit: 'docker-c1.scope', slice: 'a-b.slice', user: false });
    expect(state.paths['memory']).to.equal('/sys/fs/cgroup/memory/a.slice/a-b.slice/docker-c1.scope');
  });

  it('is runnc-ID.scope in system.slice when systemd is asked without a path', () => {
    const state = planCgroup({ ...plain, systemd: true }, V2);
    expect(state.paths['unified']).to.equal('/sys/fs/cgroup/system.slice/runnc-c1.scope');
  });

  it("is below the user's own manager for an ordinary user", () => {
    const state = planCgroup({ ...plain, systemd: true, rootless: true }, V2);
    expect(state.systemd).to.deep.equal({ unit: 'runnc-c1.scope', slice: 'user.slice', user: true });
    expect(state.paths['unified']).to.equal(
      '/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/user.slice/runnc-c1.scope',
    );
  });

  for (const cgroupsPath of [
    '/docker/c1',
    'a:b',
    'a.slice:b:',
    'a.slice:b:c:d',
    'a.slice:b:c/d',
    'a/b.slice:p:n',
    'a--b.slice:p:n',
    'a:p:n',
  ]) {
    it(`refuses ${cgroupsPath} with --systemd-cgroup`, () => {
      expect(() => planCgroup({ ...plain, systemd: true, cgroupsPath }, V2)).to.throw(
        /^linux\.cgroupsPath: /,
      );
    });
  }

  it('knows where a slice is', () => {
    expect(expandSlice('-.slice')).to.equal('/');
    expect(expandSlice('system.slice')).to.equal('/system.slice');
    expect(expandSlice('a-b-c.slice')).to.equal('/a.slice/a-b.slice/a-b-c.slice');
  });
});
