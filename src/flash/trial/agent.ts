/**
 * The trial agent: a POSIX shell program in the target that proves it, confirms it, or goes back.
 *
 * 1. `run`, by its unit: checks every two seconds until all holds (and, with `ssh`, until an
 *    operator confirms) or the time is over. Then the reason goes to the store and the host
 *    reboots: the guard still stands, so the rescue comes up and holds.
 * 2. `confirm`, by `osflash-confirm` or by `run`: mark, boot code or boot order, `confirmed` on
 *    the store, secrets erased, grub.cfg restored, watchdog released, unit disabled. In this order:
 *    - cut before the boot structures: the rescue boots, sees no `confirmed`, holds;
 *    - cut after them: the target boots, the agent sees its mark and goes on without checks.
 *    What `confirmed` is followed by is all tried: a bad sector below a secret leaves no system
 *    that panics and resets as on trial. The unit stays until nothing of it failed.
 * 3. The time counts from the start of the kernel, so that an agent that is started again has no
 *    more of it; the time of day may jump.
 *
 * Runs in dash and busybox ash, with dd, od, sed, find, mount, ip, ping or ssh-keyscan, and
 * ssh-keygen. Not promised: going back when the kernel hangs; that is the watchdog's.
 */
import { SECRETS, STORE, TARGET } from '../places.ts'
import { AGENT_BOOT } from './agent-boot.ts'
import { AGENT_CHECKS } from './agent-checks.ts'
import { SAVED_SUFFIX, TRIAL_WORDS } from './command-line.ts'
import { MARK, RUN_FOLDER, TRIAL_WATCHDOG, UNIT_LINK } from './trial-places.ts'

const HEAD = `#!/bin/sh
# osflash: proves this system after a replacement and confirms it, or goes back to the rescue.
# Told by ${TARGET.settings}. Says on the store why it went back (${STORE.trialLog}).
set -u
umask 077
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL

DISK='' TABLE_ID='' TARGET_OPTION='' RESCUE_OPTION=''
EFIVARS=/sys/firmware/efi/efivars
FORCE_AFTER_SECONDS=60
# shellcheck source=/dev/null
. ${TARGET.settings} || exit 1
SECTOR0=${TARGET.sector0}
MARK=${MARK}
RUN=${RUN_FOLDER}
PROVEN=$RUN/proven
STORE=$RUN/store.$$
REASONS=
mkdir -p "$RUN" || exit 1

say() {
  printf 'osflash: %s\\n' "$*"
}

now() {
  read -r up _ </proc/uptime
  printf '%s\\n' "\${up%%.*}"
}
`

const CONFIRM = `
# A read-only mount of somebody who only looks is in the way, for a moment; without -w mount
# would join it, read-only.
mount_store() {
  mkdir -p "$STORE" || return 1
  for _ in 1 2 3 4 5 6 7 8; do
    mount -w -t ext4 -o noatime,nodev,nosuid,noexec "UUID=$STORE_UUID" "$STORE" 2>/dev/null &&
      return 0
    sleep 1
  done
  return 1
}

unmount_store() {
  umount "$STORE" 2>/dev/null
  rmdir "$STORE" 2>/dev/null
}

# One at a time: the agent and an operator may confirm in the same second.
lock() {
  tries=60
  until mkdir "$RUN/lock" 2>/dev/null; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || return 1
    sleep 1
  done
  trap 'unmount_store; unlock' EXIT
}

unlock() {
  rmdir "$RUN/lock"
  trap - EXIT
}

write_confirmed() {
  printf '%s\\n' "$PLAN_DIGEST" >"$STORE/${STORE.confirmed}.part" && sync &&
    mv -f "$STORE/${STORE.confirmed}.part" "$STORE/${STORE.confirmed}" && sync && return 0
  fail 'the store does not take the confirmation'
  return 1
}

# Overwritten first: a removed file stays readable on the disk. One that fails keeps no other.
erase_secrets() {
  erased=yes
  for secret in ${SECRETS.join(' ')}; do
    [ -e "$STORE/$secret" ] || continue
    find "$STORE/$secret" -type f -exec sh -c 'status=0
    for file do
      size=$(wc -c <"$file") || { status=1; continue; }
      [ "$size" -eq 0 ] ||
        dd if=/dev/zero of="$file" bs="$size" count=1 conv=notrunc,fsync 2>/dev/null || status=1
    done
    exit "$status"' sh {} + && sync && rm -rf "\${STORE:?}/$secret" && continue
    fail "$secret is not erased from the store"
    erased=no
  done
  sync && [ "$erased" = yes ]
}

# One that was made anew meanwhile has nothing of ours, and stays.
restore_command_line() {
  for config in /boot/grub/grub.cfg /boot/grub2/grub.cfg; do
    saved=$config${SAVED_SUFFIX}
    [ -e "$saved" ] || continue
    if [ -s "$config" ] && ! grep -q -F -e '${TRIAL_WORDS}' "$config"; then
      rm -f "$saved"
    else
      mv -f "$saved" "$config"
    fi || { fail "$config is not restored"; return 1; }
  done
  sync
}

# The service manager that runs now keeps feeding it; the next one does what it is told.
release_watchdog() {
  rm -f ${TRIAL_WATCHDOG} && sync && return 0
  fail '${TRIAL_WATCHDOG} is not removed'
  return 1
}

# The mark goes last: without it the next boot checks everything again.
disable() {
  rm -f ${UNIT_LINK} && sync && rm -f "$MARK" && sync && : >"$RUN/confirmed" && return 0
  fail 'the trial unit is not disabled'
  return 1
}

mark() {
  mkdir -p "\${MARK%/*}" && printf '%s\\n' "$PLAN_DIGEST" >"$MARK" && sync && return 0
  fail 'the root takes no files'
  return 1
}

# All is tried: a stage that fails does not keep this system on trial.
finish() {
  finished=yes
  erase_secrets || finished=no
  restore_command_line || finished=no
  release_watchdog || finished=no
  [ "$finished" = yes ] && disable
}

# The store comes first, so that nothing is begun that cannot be told to the rescue.
confirm() {
  lock || { fail 'another confirmation is under way'; return 1; }
  REASONS=
  if ! mount_store; then
    fail "the store $STORE_UUID is not there"
    false
  else
    mark && confirm_boot && write_confirmed && finish
  fi
  status=$?
  unmount_store
  unlock
  [ "$status" -eq 0 ] && say 'confirmed: the next boot is this system'
  return "$status"
}
`

const RUN_TEXT = `
check() {
  check_addresses
  check_gateways
  check_sshd
}

# Boots into this system already: a power cut came between two steps of a confirmation.
is_half_confirmed() {
  [ -e "$MARK" ] && boot_is_ours
}

# In the background: a service manager that hangs never answers, and a disk that swallows what is
# written ends no sync.
force_reboot() {
  sync &
  systemctl reboot &
  sleep "$FORCE_AFTER_SECONDS"
  reboot -f -n || systemctl reboot --force --force
}

# On the store, so that the rescue can tell; the time of day may be wrong. Unmounting flushes it.
give_up() {
  say "not confirmed: $REASONS"
  if mount_store; then
    printf '%s %s\\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$REASONS" >>"$STORE/${STORE.trialLog}"
    unmount_store
  elif [ -e "$PROVEN" ]; then
    # Without its disk there is no rescue to go back to: this system, which was sound once in
    # this boot, is the only one left.
    REASONS=
    [ "$CONFIRM" = auto ] && mark && confirm_boot
    say "not rebooting: the stage disk does not answer, this system does. $REASONS"
    exit 1
  fi
  force_reboot
  exit 1
}

run() {
  # For a target whose boot loader is not told.
  echo 30 2>/dev/null >/proc/sys/kernel/panic
  echo 1 2>/dev/null >/proc/sys/kernel/panic_on_oops
  told=nothing
  while :; do
    [ -e "$RUN/confirmed" ] && exit 0
    proven=
    if is_half_confirmed; then
      confirm && exit 0
    else
      REASONS=
      check
      [ -n "$REASONS" ] || { proven=yes; : >"$PROVEN"; }
      [ "$proven$CONFIRM" = yesauto ] && confirm && exit 0
    fi
    [ "$REASONS" = "$told" ] || say "waiting: \${REASONS:-for osflash-confirm}"
    told=$REASONS
    [ "$(now)" -ge "$WITHIN_SECONDS" ] && break
    sleep 2
  done
  # An operator may be confirming right now.
  lock && unlock
  [ -e "$RUN/confirmed" ] && exit 0
  # This system is the one that boots; a reboot would only come back here.
  is_half_confirmed && say "not finished: $REASONS" && exit 1
  [ "$CONFIRM" = auto ] || fail "nobody ran osflash-confirm within $WITHIN_SECONDS seconds"
  give_up
}

# What is half confirmed is finished, also when the operator's connection breaks. What was confirmed
# in an earlier boot is not touched again: the boot structures may be newer ones by now.
operator() {
  trap '' HUP INT PIPE
  { [ -e "$RUN/confirmed" ] || [ ! -L ${UNIT_LINK} ]; } && say 'confirmed already' && exit 0
  confirm && exit 0
  say "not confirmed: $REASONS" >&2
  exit 1
}

case \${1:-} in
  run) run ;;
  confirm) operator ;;
  *) say "usage: $0 run|confirm" >&2; exit 2 ;;
esac
`

/** The program text; `sh -n` and shellcheck accept it. */
export const TRIAL_AGENT = HEAD + AGENT_CHECKS + AGENT_BOOT + CONFIRM + RUN_TEXT
