/**
 * What only the trial agent and its installer know of the target's root; all else: places.ts.
 *
 * 1. Paths are absolute in the target.
 * 2. What lies below /run is gone at the next boot.
 */
import { TARGET } from '../places.ts'

/** Holds a lock and the fact of confirmation; gone at the next boot. */
export const RUN_FOLDER = '/run/osflash'
/** A confirmation has begun; the plan's digest. */
export const MARK = '/var/lib/osflash/confirming'
/** The service manager opens the watchdog: a hang of the system on trial becomes a reset. */
export const TRIAL_WATCHDOG = '/etc/systemd/system.conf.d/osflash-trial.conf'
const UNIT_NAME = TARGET.unit.replace(/^.*\//, '')
/** Where the stage's root is mounted for the wrapper. */
export const STAGE_MOUNT = `${RUN_FOLDER}/stage`
/**
 * Started with sysinit.target, not with multi-user.target: a system that ends in emergency mode
 * must go back too.
 */
export const UNIT_LINK = `/etc/systemd/system/sysinit.target.wants/${UNIT_NAME}`
