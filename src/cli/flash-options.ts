/**
 * Options that `plan` and `apply` share.
 *
 * 1. No option has a default here: what is not given may stand in /etc/osflash/apply.yaml.
 * 2. `flashRequestOf` merges both, checks them and reads the keys: flash-settings.ts, which is
 *    loaded when a verb is run.
 */
import type { Command } from 'commander'
import type { FlashOptions, FlashRequest } from './flash-settings.ts'
import { choice, integer } from './shared-options.ts'
import type { VerbContext } from './verb.ts'

export type { FlashOptions } from './flash-settings.ts'

/** Where an operator, or who installs hosts, puts what is always the same. */
const SETTINGS_FILE = '/etc/osflash/apply.yaml'

/** How long an operator may take; a day, because somebody may have to be asked. */
const WITHIN = { min: 10, max: 86_400 }

export function flashOptions(command: Command): Command {
  const within = integer(WITHIN.min, WITHIN.max)
  return command
    .option('--rescue <image>', 'the rescue: path or http(s) address')
    .option('--target <image>', 'the new system: path or http(s) address')
    .option('--disk <id>', 'disk of this system: serial number, WWN or name in /dev/disk/by-id')
    .option('--stage <id>', 'disk for rescue and store, named in the same way; it is erased')
    .option('--trust <cert...>', 'certificates whose signatures count')
    .option('--threshold <n>', 'how many of them must have signed', integer(1, 16))
    .option('--identity <key...>', 'secret keys to decrypt with; they stay on this system')
    .option('--passphrase-file <file>', 'passphrase of locked keys')
    .option('--go <how>', 'auto; ssh waits for osflash go in the rescue', choice(['auto', 'ssh']))
    .option('--go-within <seconds>', 'else back to this system (default 900)', within)
    .option(
      '--confirm <how>',
      'auto; ssh waits for osflash-confirm in the target; none: no trial',
      choice(['auto', 'ssh', 'none']),
    )
    .option('--confirm-within <seconds>', 'else back to the rescue (default 600)', within)
    .option('--wipe-data', 'erase data of others too: RAID, LVM, file systems not in fstab')
    .option('--accept-no-watchdog', 'go on where no hardware watchdog is')
    .option('--notify <url>', 'POST each state there, as JSON')
    .option('--config <file>', `further settings, same names (default ${SETTINGS_FILE})`)
}

/**
 * @throws OsflashError `usage` for what is missing or wrong, naming option or place; `refused`
 *   for a settings file that others may write to; `io`, `trust`, `decryption` for the keys
 */
export async function flashRequestOf(
  options: FlashOptions,
  context: VerbContext,
): Promise<FlashRequest> {
  const { readSettings, requestOf } = await import('./flash-settings.ts')
  const settings = await readSettings(options, options.config ?? SETTINGS_FILE)
  return requestOf(settings, context)
}
