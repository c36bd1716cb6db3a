/**
 * Options that several verbs share, spelled and explained once.
 *
 * 1. `readingOptions`: whom to believe, and with which key to open.
 * 2. `packingOptions`: for whom, by whom, how packed.
 * 3. Numbers are parsed here, with the range in the error.
 */
import { type Command, InvalidArgumentError } from 'commander'
import { CODEC_LEVELS } from '../format/codec-levels.ts'
import type { CodecName } from '../format/manifest.ts'
import { GIB, KIB, MIB } from '../units.ts'
import type { TrustOptions } from './key-files.ts'

export interface ReadingOptions extends TrustOptions {
  readonly identity?: readonly string[]
  readonly passphraseFile?: string
  readonly workers?: number
}

export interface PackingOptions {
  readonly output: string
  readonly recipient: readonly string[]
  readonly signWith: readonly string[]
  readonly passphraseFile?: string
  readonly codec: CodecName
  readonly level?: number
  readonly aead: 'ocb' | 'gcm'
  readonly workers?: number
  readonly force?: boolean
}

export function readingOptions(command: Command): Command {
  return command
    .option('--trust <cert...>', 'certificates whose signatures count')
    .option('--threshold <n>', 'how many of them must have signed', integer(1, 16))
    .option('--insecure-unsigned', 'believe an image whoever signed it')
    .option('--identity <key...>', 'secret keys to decrypt with')
    .option('--passphrase-file <file>', 'passphrase of locked keys')
    .option('--workers <n>', 'threads (default: one for each processor)', integer(1, 256))
}

export function packingOptions(command: Command): Command {
  return command
    .requiredOption('-o, --output <image>', 'the image to write')
    .requiredOption('--recipient <cert...>', 'certificates of those who may decrypt')
    .requiredOption('--sign-with <key...>', 'secret keys to sign with')
    .option('--passphrase-file <file>', 'passphrase of locked keys')
    .option('--codec <codec>', 'zstd or xz', choice(['zstd', 'xz']), 'zstd')
    .option('--level <n>', 'zstd: -7 to 22 (default 3); xz: 6', integer(-7, CODEC_LEVELS.zstd.max))
    .option('--aead <mode>', 'ocb (every OpenPGP reader) or gcm', choice(['ocb', 'gcm']), 'ocb')
    .option('--workers <n>', 'threads (default: one for each processor)', integer(1, 256))
    .option('--force', 'replace an image of that name')
}

/** A whole number from `min` to `max`. */
export function integer(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (/^-?\d+$/.test(text) && value >= min && value <= max) return value
    throw new InvalidArgumentError(`must be a whole number from ${min} to ${max}`)
  }
}

/** A size: `10737418240`, `10GiB`, `512MiB`. */
export function size(text: string): number {
  const match = /^(\d+)(KiB|MiB|GiB|TiB|B)?$/.exec(text)
  const units = { B: 1, KiB: KIB, MiB: MIB, GiB: GIB, TiB: 1024 * GIB }
  const unit = Object.entries(units).find(([name]) => name === (match?.[2] ?? 'B'))
  const value = Number(match?.[1]) * (unit?.[1] ?? Number.NaN)
  if (Number.isSafeInteger(value) && value > 0) return value
  throw new InvalidArgumentError('must be a size such as 10GiB or 512MiB')
}

export function choice<Name extends string>(names: readonly Name[]): (text: string) => Name {
  return (text) => {
    const found = names.find((name) => name === text)
    if (found !== undefined) return found
    throw new InvalidArgumentError(`must be ${names.join(' or ')}`)
  }
}
