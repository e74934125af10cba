# Outlives the process that started the servers, and stops them when their owner is gone.
#
#   $1  directory to remove at the end; empty: keep
#   $2  process that owns the servers; empty: whoever holds the other end of standard input
#   $3  when that process was born, so that a recycled process id is not taken for it
#
# Lines on standard input: `watch PID SIGNAL` (stop PID with SIGNAL), `forget PID`.
trap '' INT TERM HUP QUIT PIPE
remove=$1 owner=$2 owner_born=$3
servers=''

# Sets `born` to what tells a process from a later one with the same id; empty when it is gone or a zombie.
look_at() {
  born=''
  if [ -r /proc/self/stat ]; then
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 0
    set -- ${stat##*) }
    [ "$1" = Z ] || born=${20}
  else
    set -- $(ps -o stat= -o lstart= -p "$1" 2>/dev/null)
    case $1 in '' | Z*) ;; *) shift; born=$(echo "$*" | tr -c 'A-Za-z0-9\n' _) ;; esac
  fi
}

# Signals every server that still lives ($1, or each server's own signal); 1 when none does.
signal_living() {
  living=1
  for server in $servers; do
    IFS=: read -r pid polite server_born <<EOF
$server
EOF
    look_at "$pid"
    [ "$born" = "$server_born" ] || continue
    living=0
    case $1 in '') ;; polite) kill -s "$polite" "$pid" ;; *) kill -s "$1" "$pid" ;; esac 2>/dev/null
  done
  return $living
}

wait_for_end() {
  tries=$1
  while [ "$tries" -gt 0 ] && signal_living ''; do
    sleep 0.05
    tries=$((tries - 1))
  done
}

while read -r verb pid polite; do
  case $verb in
    watch)
      look_at "$pid"
      [ -z "$born" ] || servers="$servers $pid:$polite:$born"
      ;;
    forget)
      kept=''
      for server in $servers; do
        case $server in "$pid":*) ;; *) kept="$kept $server" ;; esac
      done
      servers=$kept
      ;;
  esac
done

if [ -n "$owner" ]; then
  look_at "$owner"
  while [ "$born" = "$owner_born" ]; do
    sleep 0.2
    look_at "$owner"
  done
fi

if signal_living polite; then
  wait_for_end 160
  if signal_living KILL; then wait_for_end 40; fi
fi

# A server's children may write for a moment longer than the server lives.
tries=20
while [ -n "$remove" ] && [ -e "$remove" ] && [ "$tries" -gt 0 ]; do
  rm -rf "$remove" 2>/dev/null || sleep 0.1
  tries=$((tries - 1))
done
