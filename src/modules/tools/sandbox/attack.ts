/** The file at which a box that is probed sees that what it takes was measured. */
export const MEASURED = 'measured';

/**
 * What a box is made to try before any box is trusted, for a shell inside it. Says `held` only if every wall stands;
 * otherwise which one does not.
 */
export const ATTACK = [
  'fell() { echo "$1"; exit 1; }',
  '[ "$(id -u)" != 0 ] || fell "it runs as root"',
  '[ ! -e /etc/shadow ] || fell "the files of the host are visible"',
  '[ "$(ls /proc | grep -c "^[0-9]")" -lt 20 ] || fell "processes of the host are visible"',
  'grep -q "^CapEff:[[:space:]]*0*$" /proc/self/status || fell "it has capabilities"',
  'grep -q "^NoNewPrivs:[[:space:]]*1$" /proc/self/status || fell "it can gain privileges"',
  'grep -q "^Seccomp:[[:space:]]*2$" /proc/self/status || fell "system calls are not filtered"',
  '[ "$(grep -c : /proc/net/dev)" -le 1 ] || fell "the network is visible"',
  '! unshare -U true 2>/dev/null || fell "it can make namespaces"',
  '! touch /usr/probe 2>/dev/null || fell "the system is writable"',
  '! touch /probe 2>/dev/null || fell "the root is writable"',
  '! { : > /tmp/probe && chmod u+s /tmp/probe 2>/dev/null; } || fell "it can make set-id files"',
  'for fd in /proc/$$/fd/*; do case ${fd##*/} in 0|1|2) ;; *) [ ! -e "$fd" ] || fell "descriptor ${fd##*/} is open" ;; esac; done',
  '! echo 0 2>/dev/null > /proc/self/oom_score_adj || fell "it can leave its place when memory runs out"',
  '[ "$(cat /proc/self/oom_score_adj)" = 1000 ] || fell "it is not the first to go when memory runs out"',
  '[ "$(ulimit -c)" = 0 ] || fell "limits do not hold"',
  `n=0; until [ -e ${MEASURED} ]; do n=$((n + 1)); [ $n -le 200 ] || fell "what it takes cannot be measured"; sleep 0.05; done`,
  'echo held',
].join('\n');
