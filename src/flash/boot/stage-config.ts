/**
 * What the stage's GRUB reads, under both firmwares: never a menu, never a wait for a key.
 *
 * 1. trial (BIOS only; under UEFI the firmware's BootNext does it): if osflash.env says trial=1,
 *    it is made 0 and read back from the disk; only then, and only if the stage is not the disk
 *    that the BIOS started, the target's own sector 0 is started as if the BIOS had.
 * 2. rescue: in every other case, and when 1 fails. Its kernel is told GRUB's name of the stage.
 * 3. What cannot be loaded ends in a reboot.
 *
 * Files that are changed later have their full length from the beginning and are changed in
 * place: GRUB replays no journal.
 *
 * Pure.
 */
import { basename } from 'node:path'
import { changeGrubEnvironment, emptyGrubEnvironment } from '../../format/grub-environment.ts'
import { RESCUE } from '../places.ts'
import { type KernelEntry, loadOrReboot } from './grub-words.ts'
import { SECTOR_BYTES } from './guard.ts'

/** In osflash.env; 1: the next start is the target's. */
export const TRIAL_VARIABLE = 'trial'

export interface StageFile {
  /** Absolute in the rescue's root. */
  readonly path: string
  readonly bytes: Uint8Array
  readonly mode: number
}

/**
 * The files of the stage's GRUB. When they are written, the root must be unmounted cleanly.
 * @param entry how the rescue starts, as its manifest has it
 * @throws OsflashError `refused` when the command line cannot be said to GRUB
 */
export function stageBootFiles(entry: KernelEntry): readonly StageFile[] {
  return [
    { path: RESCUE.grubConfig, bytes: Buffer.from(stageConfig(entry)), mode: 0o644 },
    {
      path: RESCUE.grubEnvironment,
      bytes: changeGrubEnvironment(emptyGrubEnvironment(), { [TRIAL_VARIABLE]: '0' }),
      mode: 0o644,
    },
    { path: RESCUE.targetSector0, bytes: new Uint8Array(SECTOR_BYTES), mode: 0o600 },
  ]
}

/** The stage's grub.cfg. */
export function stageConfig(entry: KernelEntry): string {
  return `# Made by osflash; docs/apply.md says what it does.
set stage=$root
if serial --unit=0 --speed=115200; then
  terminal_output console serial
fi
if [ "$grub_platform" = pc ]; then
  echo "osflash: guard"
fi
${TRIAL}
echo "osflash: rescue"
set root=$stage
${loadOrReboot(entry)}`
}

const ENVIRONMENT = `($stage)/boot/grub/${basename(RESCUE.grubEnvironment)}`
const SECTOR0 = `($stage)/boot/grub/${basename(RESCUE.targetSector0)}`

/** `regexp` keeps the target's code, which reads the drive that was started, off the stage. */
const TRIAL = `set ${TRIAL_VARIABLE}=
load_env --file ${ENVIRONMENT} ${TRIAL_VARIABLE}
if [ "$${TRIAL_VARIABLE}" = 1 ]; then
  set ${TRIAL_VARIABLE}=0
  if save_env --file ${ENVIRONMENT} ${TRIAL_VARIABLE}; then
    set ${TRIAL_VARIABLE}=
    load_env --file ${ENVIRONMENT} ${TRIAL_VARIABLE}
    if [ "$grub_platform" != pc ]; then
      echo "osflash: no trial from here: the firmware does it"
    elif [ "$${TRIAL_VARIABLE}" != 0 ]; then
      echo "osflash: no trial: its flag stayed"
    elif regexp '^hd0,' "$stage"; then
      echo "osflash: no trial: the stage is the first disk"
    else
      echo "osflash: trial"
      set root=hd0
      if chainloader --force ${SECTOR0}; then
        boot
      fi
      echo "osflash: the target could not be started"
    fi
  else
    echo "osflash: no trial: its flag cannot be written"
  fi
fi
`
