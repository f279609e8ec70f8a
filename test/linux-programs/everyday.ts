/**
 * What people run in containers, as shell scripts that say what came of it: the same lines natively and in the Linux
 * guest. Used by debian.test.ts, and by test/long/debian.ts on a Debian of its own.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Debian } from './debian.ts';

const PROGRAMS = join(import.meta.dirname, 'programs');

export interface Everyday {
  readonly what: string;
  readonly script: string;
  /** What it must have said natively, or the test proves nothing. */
  readonly says: RegExp;
}

/** Where `addPrograms` puts the files of the programs folder that scripts use. */
const PLACE = '/opt/everyday';

export function addPrograms(debian: Debian): void {
  mkdirSync(debian.path(PLACE), { recursive: true });
  for (const name of ['everyday.mjs', 'project.sh'])
    cpSync(join(PROGRAMS, name), debian.path(`${PLACE}/${name}`));
  execFileSync('javac', ['--release', '17', '-d', debian.path(PLACE), join(PROGRAMS, 'Everyday.java')]);
}

export const NODE: readonly Everyday[] = [
  {
    what: 'node: files, threads, processes, compression, ciphers, sockets, traps of WebAssembly',
    script: `node ${PLACE}/everyday.mjs`,
    says: /^wasm 0 RuntimeError: memory access out of bounds/m,
  },
  { what: 'npm --version', script: 'npm --version', says: /^\d+\.\d+\.\d+$/m },
  {
    what: 'npm runs the scripts of a package',
    script: `mkdir /tmp/p && cd /tmp/p && npm init -y >/dev/null && npm pkg set scripts.test="echo tested" && npm test --silent`,
    says: /^tested$/m,
  },
  {
    what: 'node with its uncaught errors, its flags and its standard input',
    script: `echo 'console.log(1 + 1)' | node; node -p 'process.argv.length' a b; node -e 'process.exit(7)'; echo $?
      node --stack-trace-limit=0 -e 'throw new TypeError("thrown")' 2>&1; echo $?`,
    says: /^TypeError: thrown/m,
  },
];

export const JAVA: readonly Everyday[] = [
  {
    what: 'a JVM: threads, StackOverflowError, NullPointerException, garbage, processes, mapped files',
    script: `cd ${PLACE} && java -Xmx256m Everyday one two`,
    says: /^StackOverflowError in a thread: true$[^]*^NullPointerException 100000$[^]*^shutdown hook$/m,
  },
  {
    what: 'a JVM that only interprets, with the simplest collector',
    script: `cd ${PLACE} && java -Xint -XX:+UseSerialGC -Xmx256m Everyday`,
    says: /^StackOverflowError in main: true$/m,
  },
];

export const SYSTEM: readonly Everyday[] = [
  {
    what: 'gcc and make build and test a program of 20 files',
    script: `sh ${PLACE}/project.sh /tmp/project && cd /tmp/project && make -s && make -s clean && make -s -j4 test
      touch part7.c; make -s -q all; echo $?; make -s all && ./program; echo $?
      echo 'int main( { }' >part3.c; make -s all 2>&1 | grep -c error:`,
    says: /^passed: 3990$/m,
  },
  {
    what: 'gcc with warnings, libraries and threads, and the program that comes of it',
    script: `cd /tmp && cat >t.c <<'END'
#include <pthread.h>
#include <stdio.h>
#include <math.h>
static void *f(void *p) { *(double *)p = sqrt(*(double *)p); return 0; }
int main(void) { double d = 2; pthread_t t; int unused; pthread_create(&t, 0, f, &d); pthread_join(t, 0); printf("%.6f\\n", d); }
END
      gcc -Wall -O2 -g -pthread -o t t.c -lm 2>&1 | grep -c unused; ./t
      gcc -shared -fPIC -o libx.so -x c - <<'END'
int answer(void) { return 42; }
END
      gcc -o u -x c - -x none -L. -lx -Wl,-rpath,/tmp <<'END'
int answer(void);
int main(void) { return answer(); }
END
      ./u; echo $?; nm -D libx.so | grep -c answer; ar cr lib.a t.c && ar t lib.a; strip u && ./u; echo $?`,
    says: /^1\.414214$/m,
  },
  { what: 'dpkg -l', script: 'dpkg -l | cat', says: /^ii {2}dpkg /m },
  {
    what: 'dpkg -L, -S, -s and --verify',
    script: `dpkg -L sed | head -3; dpkg -S /bin/sed; dpkg -s dash | head -3; dpkg --compare-versions 1.10 gt 1.9; echo $?`,
    says: /^sed: \/bin\/sed$/m,
  },
  {
    what: 'dpkg builds, installs and removes a package',
    script: `mkdir -p /tmp/d/DEBIAN /tmp/d/opt && echo content >/tmp/d/opt/thing && cat >/tmp/d/DEBIAN/control <<'END'
Package: thing
Version: 1
Architecture: all
Maintainer: nobody <nobody@localhost>
Description: a thing
END
      printf '#!/bin/sh\\necho configured "$1"\\n' >/tmp/d/DEBIAN/postinst; chmod 755 /tmp/d/DEBIAN/postinst
      dpkg-deb --build --root-owner-group /tmp/d /tmp/thing.deb && dpkg -i /tmp/thing.deb 2>&1 | grep -v Reading
      cat /opt/thing; dpkg -l thing | tail -1; dpkg -r thing 2>&1 | tail -1; ls /opt/thing 2>&1`,
    says: /^configured configure$/m,
  },
  {
    what: 'apt-get --version, apt-cache',
    script: 'apt-get --version | head -1; apt-cache policy dash | head -2',
    says: /^apt /,
  },
  {
    what: 'adduser, and su to the one that it made',
    script: `adduser --disabled-password --gecos '' bob 2>&1 | grep -v crontab; id bob; grep bob /etc/passwd /etc/group /etc/shadow | cut -d: -f1-4 |
        sed 's/:[0-9]\\{5\\}$//'
      su bob -c 'id; cd; pwd; echo mine >file; cat file; cat /etc/shadow 2>&1; touch /root/x 2>&1'; ls -l /home/bob/file | cut -c1-10
      deluser bob 2>&1 | tail -1; id bob 2>&1`,
    says: /^uid=1000\(bob\) gid=1000\(bob\)/m,
  },
  {
    what: 'perl: files, processes, pipes, regular expressions, sockets',
    script: `perl -e 'print join(",", map { $_ * 2 } 1 .. 5), "\\n"; open(my $p, "-|", "echo", "from", "a pipe"); print <$p>;
      my $pid = fork // die; if (!$pid) { exit 6 } waitpid($pid, 0); print $? >> 8, "\\n";
      local $SIG{ALRM} = sub { print "alarm\\n" }; alarm 1; select(undef, undef, undef, 5);
      my $text = "a1b22"; print join("|", $text =~ /(\\d+)/g), "\\n"; printf "%s\\n", -e "/etc/passwd" ? "there" : "not";
      use Socket; socketpair(my $a, my $b, AF_UNIX, SOCK_STREAM, PF_UNSPEC); syswrite $a, "socket"; sysread $b, my $got, 9; print "$got\\n"'`,
    says: /^alarm$/m,
  },
  {
    what: 'sqlite3 in a file, with its journal and with a write-ahead log',
    script: `cd /tmp && sqlite3 x.db 'create table t(a integer primary key, b text); begin;
        with recursive n(i) as (select 1 union all select i + 1 from n where i < 5000) insert into t select i, hex(i) from n; commit;
        select count(*), sum(a) from t; pragma integrity_check; pragma journal_mode = wal; delete from t where a % 2; select count(*) from t;'
      sqlite3 x.db 'pragma wal_checkpoint; vacuum; select max(a) from t'; ls x.db*`,
    says: /^5000\|12502500$/m,
  },
  {
    what: 'redis-server is started, used over a unix socket, and stopped',
    script: `cd /tmp && redis-server --port 0 --unixsocket r.sock --daemonize yes --save '' --logfile log >/dev/null
      until [ "$(redis-cli -s r.sock ping 2>/dev/null)" = PONG ]; do sleep 0.05; done
      redis-cli -s r.sock set key value; redis-cli -s r.sock get key; redis-cli -s r.sock --raw eval 'return redis.call("incrby", "n", 5)' 0
      redis-benchmark -s r.sock -n 2000 -q -t set,lpush -P 4 2>&1 | grep -c 'requests per second'
      redis-cli -s r.sock save; redis-cli -s r.sock bgsave
      until [ "$(redis-cli -s r.sock info persistence | grep -c bgsave_in_progress:0)" = 1 ]; do sleep 0.05; done
      redis-cli -s r.sock info persistence | tr -d '\\r' | grep last_bgsave_status; redis-cli -s r.sock shutdown nosave
      while [ -e r.sock ]; do sleep 0.05; done; grep -c 'bye bye' log; redis-cli -s r.sock ping 2>&1`,
    says: /^rdb_last_bgsave_status:ok$/m,
  },
  {
    what: 'ps, top, free, df, pgrep and kill',
    script: `sleep 1000 & p=$!; sleep 0.2; ps -o comm=,args= -p $p; ps -ef | grep -c '[s]leep 1000'; pgrep -x sleep | wc -l
      TERM=dumb top -b -n 1 | grep -c sleep; free -m | grep -c '^Mem:'; df -P / | tail -1 | awk '{ print $6, ($2 > 0) }'; uptime | grep -c 'load average'
      vmstat | wc -l; cat /proc/$p/comm; pkill -x sleep; wait $p 2>/dev/null; echo $?; ps -e -o stat= | cut -c1 | sort -u | grep -c R; nproc; w -h | wc -l`,
    says: /^143$/m,
  },
  {
    what: 'time zones and locales by their files',
    script: `TZ=Europe/Berlin date -d @1700000000 '+%F %T %Z'; TZ=America/New_York date -d @1700000000 '+%F %T %Z'; date -d @0 +%T
      printf 'é\\n' | LC_ALL=C.UTF-8 wc -m; printf 'é\\n' | LC_ALL=C wc -m; LC_ALL=C.UTF-8 locale charmap; ln -sf /usr/share/zoneinfo/Asia/Tokyo /etc/localtime; date -d @0 +%T%Z`,
    says: /^2023-11-14 23:13:20 CET$/m,
  },
  {
    what: 'a program with the setuid bit has its owner, and no such rights where a mount or a user forbids it',
    script: `cp /usr/bin/id /tmp/sid; chown 7:8 /tmp/sid; chmod 6755 /tmp/sid; /tmp/sid; setpriv --reuid 1000 --regid 1000 --clear-groups /tmp/sid
      setpriv --reuid 1000 --regid 1000 --clear-groups --no-new-privs /tmp/sid; chmod 0755 /tmp/sid; /tmp/sid
      setpriv --reuid 1000 --regid 1000 --clear-groups su root -c id 2>&1 </dev/null; echo $?`,
    says: /euid=7\(lp\) egid=8\(mail\)/,
  },
  {
    what: 'find, xargs, grep, sed, awk, tar and gzip in pipelines on 10,000 files',
    script: `cd /tmp && mkdir t && seq 10000 | awk '{ f = "t/" $1; print "line", $1 * 7 > f; close(f) }'
      tar -cf - t | gzip -n | tee t.gz | gzip -d | tar -tf - | wc -l; mv t u && tar -xzf t.gz && diff -r t u && echo equal
      find t -type f -newer /etc/passwd -name '*7*' -print0 | xargs -0 cat | sort -k 2n | awk '{ s += $2 } END { print NR, s }'
      find t -type f | xargs -P 4 -n 500 grep -l '99$' | sort | sha256sum; find t -type f -print0 | xargs -0 sed -i 's/line/LINE/'
      grep -r LINE t | cut -d: -f2 | sort | uniq | tail -n 2; find u -type f -delete; find u | wc -l; split -n 3 t.gz part.; cat part.* | cmp - t.gz && echo same`,
    says: /^same$/m,
  },
];
