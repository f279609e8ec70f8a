# changes.pl change SEED COUNT FOLDER: random changes below a folder, by the same seed always the same.
# changes.pl list FOLDER: every entry with what can be known of it.
use strict;
use warnings;
use Fcntl;
use IO::Handle;

my ($mode, @words) = @ARGV;
if ($mode eq 'list') { list(@words) } else { change(@words) }

sub list {
    my ($root) = @_;
    my @waiting = ('');
    while (defined(my $path = shift @waiting)) {
        my @st = lstat("$root$path") or die "$root$path: $!";
        my ($mode, $links, $uid, $gid, $size, $mtime) = @st[2, 3, 4, 5, 7, 9];
        my $text = sprintf '%s %o %d:%d', $path, $mode, $uid, $gid;
        if (-l _) { $text .= ' -> ' . readlink "$root$path" }
        elsif (-d _) {
            opendir my $dir, "$root$path" or die "$path: $!";
            push @waiting, map {"$path/$_"} sort grep { !/^\.\.?$/ } readdir $dir;
        }
        elsif (-f _) {
            open my $file, '<:raw', "$root$path" or die "$path: $!";
            local $/;
            my $content = <$file>;
            $text .= sprintf ' %d links %d bytes %d sum %d', $links, $size, $mtime, unpack '%32N*', $content . "\0\0\0";
        }
        print "$text\n";
    }
}

sub change {
    my ($seed, $count, $root) = @_;
    srand $seed;
    my (@files, @folders, @held);
    @folders = ($root);
    for my $n (1 .. $count) {
        my $what = int rand 100;
        my $folder = $folders[rand @folders];
        my $file = @files ? $files[rand @files] : undef;
        if ($what < 20 || !@files) {
            my $path = "$folder/f$n";
            write_at($path, 0, int rand(3) ? int rand 300 : int rand 200_000) and push @files, $path;
        }
        elsif ($what < 26) { mkdir "$folder/d$n" and push @folders, "$folder/d$n" }
        elsif ($what < 45) { write_at($file, int rand 150_000, int rand 9_000) }
        elsif ($what < 50) { truncate $file, int rand 100_000 }
        elsif ($what < 58) {
            unlink $file;
            @files = grep { $_ ne $file } @files;
        }
        elsif ($what < 66) {
            my $to = int rand(2) ? "$folder/r$n" : $files[rand @files];
            if ($to ne $file && rename $file, $to) { @files = ((grep { $_ ne $file && $_ ne $to } @files), $to) }
        }
        elsif ($what < 70) {
            my $from = $folders[rand @folders];
            next if $from eq $root || "$folder/" =~ /^\Q$from\E\//;
            my $to = "$folder/m$n";
            if (rename $from, $to) { s/^\Q$from\E(?=\/|$)/$to/ for @folders, @files }
        }
        elsif ($what < 75) { link $file, "$folder/l$n" and push @files, "$folder/l$n" }
        elsif ($what < 78) { symlink "f$n", "$folder/s$n" }
        elsif ($what < 83) { chmod 0600 + int rand 0177, $file }
        elsif ($what < 87) { chown int rand 1000, int rand 1000, $file }
        elsif ($what < 91) { utime 1_000_000_000 + $n, 1_000_000_000 + $n, $file }
        elsif ($what < 93) {
            # Written further under no name, or under another one alone.
            if (open my $handle, '+<:raw', $file) { push @held, $handle }
        }
        elsif ($what < 95 && @held) {
            my $handle = $held[rand @held];
            sysseek $handle, int rand 50_000, 0;
            syswrite $handle, chr(65 + $n % 26) x int rand 5_000;
        }
        elsif ($what < 97) {
            if (open my $handle, '>>', $file) { $handle->sync }
        }
        else { select undef, undef, undef, 0.02 }
    }
}

sub write_at {
    my ($path, $offset, $length) = @_;
    sysopen my $handle, $path, O_RDWR | O_CREAT or return 0;
    sysseek $handle, $offset, 0;
    my $text = join '', map { chr(97 + ($_ + $offset + $length) % 23) } 0 .. $length % 97;
    syswrite $handle, substr $text x ($length / length($text) + 1), 0, $length if $length > 0;
    return 1;
}
