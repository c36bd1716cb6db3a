/**
 * The first OS's GRUB: whether it can be told to start the rescue once, and the texts for it.
 *
 * 1. grub.cfg must load grubenv, take `next_entry` as its default and clear it with `save_env`
 *    before anything is started, and read custom.cfg: what grub-mkconfig writes.
 * 2. custom.cfg gets one entry between two marker lines. When it cannot load the rescue it
 *    reboots, and as `next_entry` is cleared by then, the first OS comes back. When GRUB could not
 *    clear it (a BIOS that refuses writes), the entry starts the first OS instead, at each boot.
 * 3. `disarmed` takes exactly that away again.
 *
 * Pure. Not promised: that the GRUB on the disk reads this grub.cfg; a host that comes up in the
 * first OS again says so.
 */
import { changeGrubEnvironment, parseGrubEnvironment } from '../../format/grub-environment.ts'
import { type KernelEntry, loadOrReboot } from './grub-words.ts'
import { FIRST_PARAMETER } from './stage-drive.ts'

export const RESCUE_ENTRY = 'osflash-rescue'
const NEXT_ENTRY = 'next_entry'
const BEGIN = '# osflash: begin; made by osflash apply, removed by osflash abort\n'
const END = '# osflash: end\n'

export interface GrubTexts {
  /** grub.cfg */
  readonly config: string
  /** custom.cfg; undefined when there is none. */
  readonly custom: string | undefined
  /** Replaced as a file is, the link would be gone. */
  readonly isCustomLinked?: boolean
  /** grubenv; undefined when there is none. */
  readonly environment: Uint8Array | undefined
}

/** Why this GRUB cannot be told to start the rescue once; empty when it can. */
export function grubRefusals(texts: GrubTexts): readonly string[] {
  const { config, custom, environment, isCustomLinked = false } = texts
  const rules: readonly (readonly [boolean, string])[] = [
    [environment !== undefined, 'there is no grubenv'],
    [environment === undefined || isBlock(environment), 'grubenv is no environment block'],
    [LOADS.test(config), 'grub.cfg does not load grubenv'],
    [TAKES.test(config), 'grub.cfg does not take next_entry as its default'],
    [CLEARS.test(config), 'grub.cfg does not clear next_entry'],
    [SOURCES.test(config), 'grub.cfg does not read custom.cfg'],
    [!WAITS.test(config), 'grub.cfg waits for a key without end (timeout=-1)'],
    [!SETS_DEFAULT.test(custom ?? ''), 'custom.cfg sets a default of its own'],
    [!isCustomLinked, 'custom.cfg is a symbolic link'],
    [!isArmedText(custom), 'custom.cfg already has an entry of osflash (osflash abort removes it)'],
  ]
  return rules.flatMap(([holds, why]) => (holds ? [] : [why]))
}

const LOADS = /^\s*load_env(\s+(-f|--file)\s+\S*\/grubenv)?\s*$/m
const TAKES = /^\s*set\s+default="?\$\{?next_entry\}?"?\s*$/m
const CLEARS = /^\s*set\s+next_entry=\s*\n\s*save_env\s+(?:(?:-f|--file)\s+\S+\s+)?next_entry\s*$/m
const SOURCES = /^\s*(source|\.)\s+"?\$\{?(config_directory|prefix)\}?\/custom\.cfg"?\s*$/m
const WAITS = /^\s*set\s+timeout="?-\d+"?\s*$/m
const SETS_DEFAULT = /^\s*(set\s+)?default=/m

function isBlock(block: Uint8Array): boolean {
  try {
    // There must be room for the new value too.
    armedEnvironment(block)
    return true
  } catch {
    return false
  }
}

export interface RescueEntry extends KernelEntry {
  /** File system UUID of the rescue's root. */
  readonly rootUuid: string
}

/** Quoted: GRUB splits what a bare variable holds. Its parentheses are those of a value. */
const FIRST = `${FIRST_PARAMETER}="$prefix"`

/** A value that is cleared is there and empty; all else would start the rescue again and again. */
const CLEARED = `set ${NEXT_ENTRY}=unread
load_env ${NEXT_ENTRY}
`

/**
 * When an entry that was started by itself ends, GRUB starts the entries of `fallback`. The second
 * is for a menu where this entry is the first; it is told once, so that it does not go round.
 */
const FALL_BACK = `echo "osflash: ${NEXT_ENTRY} stays set, the first OS is started"
if [ "$osflash_stays" != 1 ]; then
set osflash_stays=1
set fallback="0 1"
fi
`

/** The lines that custom.cfg gets. @throws OsflashError `refused` when GRUB cannot be told */
export function rescueEntry(entry: RescueEntry): string {
  const body = `insmod part_gpt
insmod part_msdos
insmod ext2
insmod search_fs_uuid
insmod linux
echo "osflash: armed"
${CLEARED}if [ -z "$${NEXT_ENTRY}" ]; then
if search --no-floppy --fs-uuid --set=root ${entry.rootUuid}; then
${loadOrReboot(entry, [FIRST])}fi
reboot
fi
${FALL_BACK}`
  const lines = body.split('\n').map((line) => (line === '' ? '' : `  ${line}`))
  // Without --unrestricted a GRUB with a password would wait for it.
  return `${BEGIN}menuentry 'osflash rescue' --id ${RESCUE_ENTRY} --unrestricted {
${lines.join('\n')}}
${END}`
}

/** custom.cfg with the entry behind what is there. */
export const armedText = (custom: string | undefined, entry: string): string =>
  `${custom ?? ''}${custom === undefined || /(^|\n)$/.test(custom) ? '' : '\n'}${entry}`

export const isArmedText = (custom: string | undefined): boolean => custom?.includes(BEGIN) ?? false

/**
 * custom.cfg as it was; undefined when there was none.
 * @param now what is there; somebody may have added to it since
 */
export function disarmedText(
  now: string | undefined,
  before: string | undefined,
): string | undefined {
  if (now === undefined || !isArmedText(now)) return now
  const from = now.indexOf(BEGIN)
  const end = now.indexOf(END, from)
  const [head, tail] = [now.slice(0, from), end < 0 ? '' : now.slice(end + END.length)]
  const left = `${head}${tail}`
  if (left === (before ?? '') || left === `${before}\n`) return before
  return left
}

/** @throws OsflashError `format`, `limit` */
export const armedEnvironment = (block: Uint8Array): Uint8Array =>
  changeGrubEnvironment(block, { [NEXT_ENTRY]: RESCUE_ENTRY })

export const isArmedEnvironment = (block: Uint8Array): boolean =>
  parseGrubEnvironment(block).get(NEXT_ENTRY) === RESCUE_ENTRY

/**
 * grubenv as it was before; what others changed in it since stays.
 * @throws OsflashError `format`, `limit`
 */
export function disarmedEnvironment(now: Uint8Array, before: Uint8Array): Uint8Array {
  const next = parseGrubEnvironment(before).get(NEXT_ENTRY)
  const seen = parseGrubEnvironment(now).get(NEXT_ENTRY)
  // GRUB leaves an empty value behind; another one is somebody else's wish.
  const ours = seen === undefined || seen === '' || seen === RESCUE_ENTRY
  const restored = ours ? changeGrubEnvironment(now, { [NEXT_ENTRY]: next }) : now
  return sameVariables(restored, before) ? before : restored
}

function sameVariables(a: Uint8Array, b: Uint8Array): boolean {
  const [ofA, ofB] = [a, b].map((block) => JSON.stringify([...parseGrubEnvironment(block)].sort()))
  return ofA === ofB
}
