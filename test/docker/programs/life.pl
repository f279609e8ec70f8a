# life.pl live SEED COUNT FOLDER: random operations below a folder, each with what came of it; by the same seed always the same.
# life.pl list FOLDER: every entry with what can be known of it, but for times that nobody set.
# life.pl make FOLDER: what a folder of the image has before anything happens.
use strict;
use warnings;
use Errno;
use Fcntl;
use IO::Handle;
use Socket;

# Calls that perl has not, by their numbers.
use constant { SYS_MKNOD => 133, SYS_NEWFSTATAT => 262, SYS_UTIMENSAT => 280, SYS_RENAMEAT2 => 316 };
use constant { AT_FDCWD => -100, AT_SYMLINK_NOFOLLOW => 0x100, RENAME_EXCHANGE => 2 };
use constant SET_BEFORE => 1_500_000_000;

my ($mode, @words) = @ARGV;
if    ($mode eq 'list') { list(@words) }
elsif ($mode eq 'make') { make(@words) }
else                    { live(@words) }

sub quoted {
    my ($name) = @_;
    $name =~ s/([^!-~]|\\)/sprintf '\\%03o', ord $1/ge;
    return $name;
}

# Whiteouts and opaque folders as overlayfs has them: where it is an upper layer that is listed.
sub list {
    my ($root) = @_;
    my @waiting = ('');
    while (defined(my $path = shift @waiting)) {
        my @st = lstat("$root$path") or die "$root$path: $!";
        my ($mode, $links, $uid, $gid, $rdev, $size) = @st[2, 3, 4, 5, 6, 7];
        my $text = sprintf '%s %o %d:%d', quoted($path), $mode, $uid, $gid;
        if    (-l _) { $text .= ' -> ' . quoted(readlink "$root$path") }
        elsif (-c _ || -b _) { $text .= " device $rdev" }
        elsif (-d _) {
            opendir my $dir, "$root$path" or die "$path: $!";
            push @waiting, map {"$path/$_"} sort grep { !/^\.\.?$/ } readdir $dir;
        }
        elsif (-f _) {
            open my $file, '<:raw', "$root$path" or die "$path: $!";
            local $/;
            my $content = <$file>;
            $text .= sprintf ' %d links %d bytes %d', $links, $size, unpack '%32N*', $content . "\0\0\0";
        }
        my ($seconds, $ns) = changed_at("$root$path");
        $text .= sprintf ' at %d.%09d', $seconds, $ns if $seconds < SET_BEFORE;
        print "$text\n";
    }
}

sub changed_at {
    my ($path) = @_;
    my $stat = "\0" x 144;
    syscall SYS_NEWFSTATAT, AT_FDCWD, $path, $stat, AT_SYMLINK_NOFOLLOW and die "$path: $!";
    return unpack 'x88 q2', $stat;
}

sub set_times {
    my ($path, $seconds) = @_;
    my $times = pack 'q4', ($seconds, int rand 1e9) x 2;
    return !syscall SYS_UTIMENSAT, AT_FDCWD, $path, $times, AT_SYMLINK_NOFOLLOW;
}

sub make {
    my ($root) = @_;
    mkdir $_ or die "$_: $!" for $root, map {"$root/$_"} qw(a a/b a/b/c d d/e empty sticky);
    my $n = 0;
    for my $path (qw(one two three a/x a/y a/b/x a/b/c/x d/x d/e/x d/e/y)) {
        open my $file, '>:raw', "$root/$path" or die "$path: $!";
        print $file "$path " x (40 ** (1 + $n++ % 3)) or die $!;
        close $file or die $!;
    }
    symlink 'a/x', "$root/link" or die $!;
    symlink 'a', "$root/a-link" or die $!;
    syscall SYS_MKNOD, "$root/fifo", 0010644, 0 and die "mknod: $!";
    chmod 04755, "$root/two" or die $!;
    chown 12, 34, "$root/three", "$root/a/y" or die $!;
    chmod 01777, "$root/sticky" or die $!;
}

my ($root, $count, @files, @folders, %held);

sub some { my ($list) = @_; return @$list ? $list->[int rand @$list] : "$root/nothing" }

sub say_result {
    my ($what, $done, @of) = @_;
    my $result = $done ? 'done' : join '|', sort grep { $!{$_} } keys %!;
    print join(' ', $what, map { quoted(substr $_, length $root) } @of), ": $result\n";
    return $done;
}

sub put {
    my ($path, $flags, $offset, $length) = @_;
    sysopen my $handle, $path, O_WRONLY | $flags or return 0;
    sysseek $handle, $offset, 0;
    return syswrite $handle, join('', map { chr(97 + ($_ * 7 + $offset) % 23) } 1 .. $length);
}

# mv(1) as far as it matters: a folder of the image has to be copied.
sub copied {
    my ($from, $to) = @_;
    my @st = lstat $from or return 0;
    if (-l _) { return symlink readlink($from), $to }
    if (-d _) {
        mkdir $to or return 0;
        opendir my $dir, $from or return 0;
        for my $name (sort grep { !/^\.\.?$/ } readdir $dir) { copied("$from/$name", "$to/$name") }
        return rmdir $from;
    }
    if (-f _) {
        open my $in, '<:raw', $from or return 0;
        local $/;
        my $content = <$in>;
        sysopen my $out, $to, O_WRONLY | O_CREAT | O_EXCL or return 0;
        syswrite $out, $content if length $content;
        chmod $st[2] & 07777, $to;
    }
    return unlink $from;
}

# What there is no longer is forgotten.
sub known {
    @files = grep { lstat $_ and !-d _ } @files;
    @folders = grep { lstat $_ and -d _ } @folders;
}

sub find {
    my ($folder) = @_;
    push @folders, $folder;
    opendir my $dir, $folder or die "$folder: $!";
    for my $name (sort grep { !/^\.\.?$/ } readdir $dir) {
        lstat "$folder/$name" or next;
        if (-d _) { find("$folder/$name") }
        else      { push @files, "$folder/$name" }
    }
}

sub remove_all {
    my ($path) = @_;
    lstat $path or return 0;
    return unlink $path unless -d _;
    opendir my $dir, $path or return 0;
    remove_all("$path/$_") for grep { !/^\.\.?$/ } readdir $dir;
    return rmdir $path;
}

sub live {
    (my $seed, $count, $root) = @_;
    srand $seed;
    umask 022;
    find($root);
    for my $n (1 .. $count) {
        known();
        $! = 0;
        my ($file, $folder) = (some(\@files), some(\@folders));
        my $name = rand() < 0.05 ? substr("$n-" . 'long' x 64, 0, 255) : rand() < 0.05 ? "$n \x{e4}\n'\"\\" : "n$n";
        my $new = "$folder/$name";
        my $what = int rand 100;
        if ($what < 12) {
            push @files, $new if say_result('create', defined put($new, O_CREAT | O_EXCL, 0, int rand 3 ? 100 : 20_000), $new);
        }
        elsif ($what < 24) { say_result('write', -f $file && !-l $file && put($file, 0, int rand 9_000, 1 + int rand 5_000), $file) }
        elsif ($what < 28) { say_result('append', -f $file && !-l $file && put($file, O_APPEND, 0, 1 + int rand 500), $file) }
        elsif ($what < 30) { say_result('far', -f $file && !-l $file && put($file, 0, 10_000_000 + int rand 9_000_000, 10), $file) if rand() < 0.4 }
        elsif ($what < 34) { say_result('truncate', -f $file && !-l $file && truncate($file, int rand 12_000), $file) }
        elsif ($what < 40) { push @folders, $new if say_result('mkdir', mkdir($new), $new) }
        elsif ($what < 44) { say_result('rmdir', rmdir $folder, $folder) if $folder ne $root }
        elsif ($what < 47) { say_result('remove', remove_all($folder), $folder) if $folder ne $root && rand() < 0.5 }
        elsif ($what < 53) { say_result('unlink', unlink($file), $file) }
        elsif ($what < 61) {
            my $to = rand() < 0.6 ? $new : some(\@files);
            push @files, $to if say_result('rename', rename($file, $to), $file, $to);
        }
        elsif ($what < 67 && $folder ne $root) {
            my $to = some(\@folders) . "/$name";
            next if index($to, "$folder/") == 0;
            my $moved = say_result('move', rename($folder, $to), $folder, $to);
            $moved = say_result('copy', copied($folder, $to), $folder, $to) if !$moved && $!{EXDEV};
            if ($moved) { @files = @folders = (); find($root) }
        }
        elsif ($what < 69) {
            my $other = some(\@files);
            next if $file eq $other || !lstat $other;
            say_result('exchange', !syscall(SYS_RENAMEAT2, AT_FDCWD, $file, AT_FDCWD, $other, RENAME_EXCHANGE), $file, $other);
        }
        elsif ($what < 74) { push @files, $new if say_result('link', link($file, $new), $file, $new) }
        elsif ($what < 77) { push @files, $new if say_result('symlink', symlink(rand() < 0.5 ? $file : '../x', $new), $new) }
        elsif ($what < 79) { push @files, $new if say_result('fifo', !syscall(SYS_MKNOD, $new, 0010640, 0), $new) }
        elsif ($what < 80) {
            socket my $socket, PF_UNIX, SOCK_STREAM, 0 or die $!;
            next if length $new > 100;
            push @files, $new if say_result('socket', bind($socket, pack_sockaddr_un($new)), $new);
        }
        elsif ($what < 86) { my $of = rand() < 0.7 ? $file : $folder; say_result('chmod', !-l $of && chmod(int rand 010000, $of), $of) }
        elsif ($what < 90) { my $of = rand() < 0.7 ? $file : $folder; say_result('chown', !-l $of && chown(int rand 2_000, int rand 2_000, $of), $of) }
        elsif ($what < 93) {
            my $of = rand() < 0.7 ? $file : $folder;
            say_result('utime', set_times($of, 1_000_000_000 + $n), $of);
        }
        elsif ($what < 95) {
            # Held, and written further under no name or another one.
            next if -l $file || !-f _;
            sysopen my $handle, $file, O_WRONLY | O_APPEND or next;
            syswrite $handle, 'held';
            $held{$n} = $handle;
        }
        elsif ($what < 98 && %held) {
            my ($which) = sort { $a <=> $b } keys %held;
            syswrite $held{$which}, 'x' x int rand 3_000;
            close delete $held{$which} if rand() < 0.5;
        }
        else {
            next if -l $file || !-f _;
            open my $handle, '<', $file or next;
            say_result('sync', $handle->sync, $file);
        }
    }
    # A file in place of a folder of the image, a folder in place of a file: as the last word of some.
    known();
    for my $path (grep { $_ ne $root && rand() < 0.2 } @folders) {
        next unless remove_all($path);
        if   (rand() < 0.5) { mkdir $path; put("$path/anew", O_CREAT, 0, 5) }
        else                { put($path, O_CREAT, 0, 9) }
    }
    @files = @folders = ();
    find($root);
    for my $path (grep { rand() < 0.5 } @files, reverse @folders) {
        set_times($path, 1_100_000_000);
    }
}
