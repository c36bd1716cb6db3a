/**
 * Starting a kernel in the language of GRUB's grub.cfg.
 *
 * 1. A word is quoted so that GRUB takes it literally, or it is refused.
 * 2. The rescue's kernel reboots when it fails, and is told GRUB's name of the stage.
 * 3. What cannot be loaded ends in a reboot: no command of GRUB comes after that.
 *
 * Pure.
 */
import { OsflashError } from '../../errors.ts'
import { STAGE_PARAMETER } from './stage-drive.ts'

/** @throws OsflashError `refused` when no quoting makes GRUB take it literally */
function quoteWord(word: string): string {
  if (/^[\w./:=,@%+-]+$/.test(word)) return word
  if (/^[ -~]*$/.test(word) && !word.includes("'")) return `'${word}'`
  throw new OsflashError('refused', `writing grub.cfg: a word that GRUB would change: ${word}`, {
    hints: ['take it out of the kernel command line of the rescue image'],
  })
}

/** What GRUB loads. */
export interface KernelEntry {
  /** Absolute paths in the partition that is the root. */
  readonly kernel: string
  readonly initrd?: string | undefined
  readonly commandLine: string
}

/** Never a prompt: a system that nobody sees reboots instead. */
const REBOOTING = [
  'panic=30',
  'oops=panic',
  // A watchdog that runs already must be opened in time, and runs on through a reboot.
  'watchdog.open_timeout=120',
  'watchdog.stop_on_reboot=0',
] as const

/** The command line of the rescue, which reboots on every failure of its kernel. */
function rescueCommandLine(commandLine: string): string {
  const words = commandLine.split(/\s+/).filter((word) => word !== '')
  const settings = new Set(REBOOTING.map((setting) => setting.split('=')[0]))
  const kept = words.filter((word) => !settings.has(word.split('=')[0] ?? ''))
  return [...kept, ...REBOOTING].map(quoteWord).join(' ')
}

/** Seconds in which a person at the console can read why. */
const READ_SECONDS = 5

/**
 * GRUB commands that start the kernel of `$root`, or reboot; nothing comes after them.
 * @param more words for the kernel in GRUB's language, not quoted here
 */
export function loadOrReboot(
  { kernel, initrd, commandLine }: KernelEntry,
  more: readonly string[] = [],
): string {
  const stage = `${STAGE_PARAMETER}=$root`
  const words = [rescueCommandLine(commandLine), ...more, stage].join(' ')
  const load =
    initrd === undefined
      ? 'boot'
      : `if initrd ${quoteWord(initrd)}; then
    boot
  fi`
  return `if linux ${quoteWord(kernel)} ${words}; then
  ${load}
fi
echo "osflash: the rescue could not be loaded, rebooting"
sleep ${READ_SECONDS}
reboot
`
}
