/**
 * Makes the target that was just written this host's: before it ever starts.
 *
 * 1. Its root is mounted from the disk, where the signed manifest says it is.
 * 2. The carry goes in: address, host keys, logins.
 * 3. The trial agent goes in, with what it must see before it confirms, and a command line that
 *    makes a panic reboot.
 * 4. Checked inside the target: sshd takes its configuration, the host keys are the old ones.
 * 5. Unmounted and flushed, so that what was checked is what starts.
 */
import { openFileSource } from '../../deliver/file.ts'
import { join } from 'node:path'
import { OsflashError } from '../../errors.ts'
import { openImage } from '../../unpack/image.ts'
import { applyCarry } from '../carry/apply.ts'
import { checkCarry } from '../carry/check.ts'
import { rootPlace } from '../image-places.ts'
import { mountPartition } from '../mounted-root.ts'
import { STORE } from '../places.ts'
import { injectTrial } from '../trial/inject.ts'
import type { RescueHost } from './acts.ts'

const MOUNT_POINT = '/run/osflash/target'
