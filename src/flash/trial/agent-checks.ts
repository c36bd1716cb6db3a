/**
 * Shell text: does the new system answer as the old one did?
 *
 * 1. Every address of the carry is up, a default route is there, each gateway answers (ping, else
 *    ARP or neighbour discovery: some gateways never answer pings), and sshd shows a host key of
 *    before.
 * 2. What is missing is added to REASONS, in words; empty means that all is well.
 *
 * Only what dash and busybox ash both have. Not promised: that an operator's network reaches the
 * host; that needs an operator (`--confirm ssh`).
 */
export const AGENT_CHECKS = `
fail() {
  REASONS="$REASONS\${REASONS:+; }$*"
}

addresses_here() {
  ip -o addr show 2>/dev/null | while read -r _ _ _ address rest; do
    case $rest in
      # Not ours yet, or somebody else's as well.
      *tentative*|*dadfailed*) ;;
      *) printf '%s\\n' "\${address%%/*}" ;;
    esac
  done
}

# Where an operator reaches this system; all came from DHCP when the carry names none.
own_addresses() {
  if [ -n "$ADDRESSES" ]; then
    printf '%s\\n' "$ADDRESSES"
  else
    addresses_here | grep -v -e '^127\\.' -e '^::1$' -e '^fe80:'
  fi
}

check_addresses() {
  here=" $(addresses_here | tr '\\n' ' ')"
  own=$(own_addresses)
  [ -n "$own" ] || fail 'no address is up'
  for address in $own; do
    case $here in
      *" \${address%%/*} "*) ;;
      *) fail "address $address is not up" ;;
    esac
  done
}

# To the address of a neighbour, with %interface when it is link-local.
answers() {
  ping -c 1 -W 2 "$1" >/dev/null 2>&1 && return 0
  neighbour=\${1%%%*}
  ip neigh flush to "$neighbour" >/dev/null 2>&1
  # Any packet makes the kernel ask who has the address.
  ssh-keyscan -T 2 "$1" >/dev/null 2>&1
  case $(ip neigh show to "$neighbour" 2>/dev/null) in
    *lladdr*) return 0 ;;
    *) return 1 ;;
  esac
}

# The interface may have another name than before.
answers_somewhere() {
  case $1 in
    fe80:*) ;;
    *) answers "$1"; return ;;
  esac
  for interface in /sys/class/net/*; do
    interface=\${interface##*/}
    [ "$interface" = lo ] && continue
    answers "\${1%%%*}%$interface" && return 0
  done
  return 1
}

# A gateway that answers is of no use to who has no route by way of it.
has_default_route() {
  case $1 in
    *:*) ip -6 route show 2>/dev/null ;;
    *) ip -4 route show 2>/dev/null ;;
  esac | grep -q '^default'
}

check_gateways() {
  for gateway in $GATEWAYS; do
    has_default_route "$gateway" || fail "no default route leads to the gateway $gateway"
    answers_somewhere "$gateway" || fail "gateway $gateway does not answer"
  done
}

# One key of before is enough: clients look for the kind they know. Kind by kind, and no more than
# needed: sshd (OpenSSH 9.8) shuts out who connects too often without logging in.
check_sshd() {
  own=$(own_addresses)
  ports=$(sshd -T 2>/dev/null | sed -n 's/^port //p')
  shown=
  for port in \${ports:-22}; do
    for address in $own; do
      for kind in ed25519 ecdsa rsa; do
        keys=$(ssh-keyscan -t "$kind" -T 5 -p "$port" "\${address%%/*}" 2>/dev/null |
          ssh-keygen -lf - 2>/dev/null)
        [ -n "$keys" ] || continue
        shown=yes
        [ -n "$HOST_KEYS" ] || return 0
        for key in $HOST_KEYS; do
          case $keys in
            *" $key "*) return 0 ;;
          esac
        done
      done
    done
  done
  if [ -n "$shown" ]; then
    fail "sshd shows none of the old host keys"
  else
    fail "no sshd answers at port $(printf %s "\${ports:-22}" | tr '\\n' ' ')"
  fi
}
`
