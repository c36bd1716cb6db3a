/**
 * The small files around the trial agent: its unit, `osflash-confirm`, and `osflash` itself.
 *
 * 1. The unit starts before anything can fail, survives emergency mode and shutdown: the agent
 *    must still be there to force a reboot that hangs. It has no [Install] part, so presets of a
 *    first boot leave its link alone. Started again it goes on where it was.
 * 2. `osflash` in the target is the program of the stage's rescue root, which is mounted read-only
 *    where nobody else sees it and is gone when the program ends.
 * 3. `osflash cleanup` runs from a copy: it erases the disk that it would run from.
 */
import { RESCUE, TARGET } from '../places.ts'
import { STAGE_MOUNT } from './trial-places.ts'

export const TRIAL_UNIT = `[Unit]
Description=osflash: prove this system, or go back to the rescue
ConditionPathExists=${TARGET.settings}
DefaultDependencies=no
IgnoreOnIsolate=yes
StartLimitIntervalSec=0

[Service]
ExecStart=${TARGET.agent} run
Restart=on-failure
RestartSec=30
OOMScoreAdjust=-1000
StandardOutput=journal+console
StandardError=journal+console
`

/** Seconds in which a system that hangs, and a shutdown that does, are reset. */
export const WATCHDOG_TEXT = `[Manager]
RuntimeWatchdogSec=60
RebootWatchdogSec=10min
`

export const CONFIRM_SCRIPT = `#!/bin/sh
# Makes this system the one that the host starts from now on.
exec ${TARGET.agent} confirm
`

/** Behind the unit's text, where somebody wants to be notified. Its failure is nobody's. */
export const TELL_CONFIRMED = [
  `ExecStopPost=-/bin/sh -c '[ "$$EXIT_STATUS" != 0 ] || exec ${TARGET.program} status --notify'`,
  '',
].join('\n')

const PROGRAM_FOLDER = RESCUE.program.replace(/\/bin\/[^/]*$/, '')
const PROGRAM_INSIDE = RESCUE.program.slice(PROGRAM_FOLDER.length)

export const PROGRAM_SCRIPT = `#!/bin/sh
# Runs osflash from the stage disk, which 'osflash cleanup' makes blank again.
set -u
PATH=$PATH:/usr/sbin:/sbin
export PATH
# shellcheck source=/dev/null
. ${TARGET.settings} || exit 3
if [ "\${OSFLASH_INSIDE:-}" != yes ]; then
  OSFLASH_INSIDE=yes
  export OSFLASH_INSIDE
  exec unshare -m "$0" "$@"
fi
unset OSFLASH_INSIDE
mkdir -p ${STAGE_MOUNT} && mount -o ro "UUID=$RESCUE_ROOT_UUID" ${STAGE_MOUNT} || {
  echo 'error: mounting the stage: its disk is not there' >&2
  echo 'hint: after a cleanup that was cut: /var/tmp/osflash-*${PROGRAM_INSIDE} cleanup' >&2
  echo 'hint: after one that was done nothing is left to do: rm '"$0" >&2
  exit 3
}
case \${1:-} in
  cleanup|plan|apply|abort)
    copy=$(mktemp -d /var/tmp/osflash-XXXXXX) || exit 6
    trap 'rm -rf "$copy"' EXIT
    cp -R ${STAGE_MOUNT}${PROGRAM_FOLDER}/. "$copy" && umount ${STAGE_MOUNT} || exit 6
    "$copy${PROGRAM_INSIDE}" "$@"
    ;;
  *) exec ${STAGE_MOUNT}${RESCUE.program} "$@" ;;
esac
`
