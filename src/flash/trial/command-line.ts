/**
 * Words for the target's kernel while it is on trial: it reboots instead of stopping.
 *
 * 1. `withTrialWords` adds them to every `linux` line of a grub.cfg; pure.
 * 2. `addTrialWords` saves the old file beside it, durable, before the new one gets its name:
 *    whoever is cut finds a whole grub.cfg. The agent restores it by a rename.
 *
 * `panic` is also what initramfs-tools obeys when it finds no root; the `rd.` words are dracut's.
 * A watchdog that runs already must be opened within 120 s, and runs on through a reboot.
 * Not promised: loaders other than GRUB, and entries of the boot loader specification.
 */
import { stat } from 'node:fs/promises'
import { existsInside, insideRoot, readInside } from '../../system/inside-root.ts'
import { writeInside } from '../write-inside.ts'

export const TRIAL_WORDS =
  'panic=30 oops=panic rd.shell=0 rd.emergency=reboot ' +
  'watchdog.open_timeout=120 watchdog.stop_on_reboot=0'
export const SAVED_SUFFIX = '.osflash'
const CONFIGS = ['/boot/grub/grub.cfg', '/boot/grub2/grub.cfg']
/** GRUB takes spaces and tabs; `linuxefi` and `linux16` are of Fedora and of old. */
const LINUX_LINE = /^([ \t]*linux(?:16|efi)?[ \t]+\S.*?)([ \t]*)$/gm

/** Adds the words to each `linux` line that does not have them; `undefined` when there is none. */
export function withTrialWords(config: string): string | undefined {
  let lines = 0
  const text = config.replaceAll(LINUX_LINE, (line: string, command: string, end: string) => {
    lines += 1
    return command.includes(TRIAL_WORDS) ? line : `${command} ${TRIAL_WORDS}${end}`
  })
  return lines === 0 ? undefined : text
}

export interface SavedConfig {
  /** Absolute, in the root; what it was before lies beside it. */
  readonly path: string
  /** False when it was made anew since, by the agent's own rule: the saved one is of no use. */
  readonly isOnTrial: boolean
}

/**
 * Each grub.cfg that the agent has not restored.
 * @throws OsflashError `io`, `refused` when one cannot be read
 */
export async function savedConfigs(root: string): Promise<readonly SavedConfig[]> {
  const found: SavedConfig[] = []
  for (const path of CONFIGS) {
    if (!(await existsInside(root, `${path}${SAVED_SUFFIX}`))) continue
    const bytes = (await readInside(root, path)) ?? Buffer.alloc(0)
    found.push({ path, isOnTrial: bytes.length === 0 || bytes.includes(TRIAL_WORDS) })
  }
  return found
}

/**
 * Adds the words to the grub.cfg of a mounted root; may be called again.
 * @returns what could not be done, for the operator
 * @throws OsflashError `io`
 */
export async function addTrialWords(root: string): Promise<string | undefined> {
  for (const path of CONFIGS) {
    const saved = `${path}${SAVED_SUFFIX}`
    const before = (await readInside(root, path))?.toString('latin1')
    const after = before === undefined ? undefined : withTrialWords(before)
    if (before === undefined || after === undefined) continue
    if (after === before) return undefined
    const mode = (await stat(await insideRoot(root, path))).mode & 0o7777
    // One from a cut run is the original: what stands in grub.cfg may have our words.
    if (!(await existsInside(root, saved))) {
      await writeInside(root, { path: saved, bytes: Buffer.from(before, 'latin1'), mode })
    }
    await writeInside(root, { path, bytes: Buffer.from(after, 'latin1'), mode })
    return undefined
  }
  return (
    'the target has no grub.cfg with a linux line: until its agent runs, a kernel that panics ' +
    'does not reboot by itself'
  )
}
