#!/usr/bin/sh
# The entrypoint of an image: two servers on unix sockets. What it does with them is its argument.
server="redis-server --port 0 --save '' --logfile /dev/null"
answers() {
  until [ "$(redis-cli -s "/tmp/$1.sock" ping 2>/dev/null)" = PONG ]; do sleep 0.05; done
}
start() {
  $server --unixsocket /tmp/a.sock & a=$!
  $server --unixsocket /tmp/b.sock & b=$!
  answers a
  answers b
}
both_end() {
  kill -TERM $a $b
  wait $a; first=$?
  wait $b; echo "ended with $first and $?"
}
parent() {
  while read -r key value; do [ "$key" = PPid: ] && echo "$value"; done <"/proc/$1/status"
}

case $1 in
  passes-on)
    trap 'echo told to stop; both_end; exit 0' TERM
    trap 'echo told by USR1; both_end; exit 3' USR1
    start
    echo ready
    wait $a $b
    ;;
  ignores)
    start
    echo ready
    wait
    ;;
  loses-one)
    start
    echo ready
    kill -KILL $a
    wait $a
    echo "one ended with $?"
    exit 9
    ;;
  daemons)
    trap 'echo told to stop; exit 0' TERM
    for name in a b; do
      $server --unixsocket "/tmp/$name.sock" --daemonize yes --pidfile "/tmp/$name.pid"
      answers $name
    done
    echo "adopted by $(parent "$(cat /tmp/a.pid)") and $(parent "$(cat /tmp/b.pid)")"
    echo ready
    while :; do sleep 0.1; done
    ;;
  becomes)
    $server --unixsocket /tmp/b.sock &
    { answers a; answers b; echo ready; } &
    exec $server --unixsocket /tmp/a.sock
    ;;
esac
