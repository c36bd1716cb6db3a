/**
 * Keys and certificates from files, for every verb that takes them.
 *
 * 1. `--trust`, `--recipient`: certificates; a secret key given there counts as its certificate.
 * 2. `--identity`, `--sign-with`: secret keys; locked ones are unlocked with `--passphrase-file`,
 *    or with what the operator types on a terminal.
 * 3. Without `--trust` nothing is believed; `--insecure-unsigned` must be spelled out.
 */
import { readFile } from 'node:fs/promises'
import {
  type Certificate,
  fingerprintOf,
  isLocked,
  readCertificates,
  readSecretKeys,
  type SecretKey,
  unlockKey,
} from '../encrypt/keys.ts'
import { verifyDetached } from '../encrypt/signature.ts'
import { ioError, OsflashError } from '../errors.ts'
import type { CheckSignatures } from '../unpack/image.ts'
import { askSecret } from './ask.ts'

/** What `--trust`, `--threshold` and `--insecure-unsigned` said. */
export interface TrustOptions {
  readonly trust?: readonly string[]
  readonly threshold?: number
  readonly insecureUnsigned?: boolean
}

/** Where the passphrase of a locked key comes from: a file, or else the terminal. */
interface PassphraseSource {
  readonly passphraseFile: string | undefined
  /** Ends the asking. */
  readonly signal: AbortSignal
}

/**
 * How this run decides whom to believe.
 * @throws OsflashError `usage` when nothing was said, `io` or `trust` for the files
 */
export async function trustOf(options: TrustOptions): Promise<CheckSignatures> {
  if (options.trust === undefined) {
    if (options.threshold !== undefined) {
      throw new OsflashError('usage', '--threshold counts signers of --trust: none was given', {
        hints: ['--trust signer.pub'],
      })
    }
    if (options.insecureUnsigned) return undefined
    throw new OsflashError('usage', 'no --trust given: nothing says whose signature counts', {
      hints: ['--trust signer.pub', '--insecure-unsigned believes anybody; never use it on a host'],
    })
  }
  const trusted = await certificatesOf(options.trust)
  const threshold = options.threshold ?? 1
  return async (bytes, signatures) => {
    const { signers } = await verifyDetached({ bytes, signatures, trusted, threshold })
    return signers
  }
}

/** A file with certificates, as it is. */
export interface TrustFile {
  readonly name: string
  readonly bytes: Uint8Array
}

/**
 * The files themselves, for a host that will check signatures again without them.
 * @throws OsflashError `io`
 */
export function trustFilesOf(paths: readonly string[]): Promise<TrustFile[]> {
  return Promise.all(paths.map(async (name) => ({ name, bytes: await readKeyFile(name) })))
}

/** All certificates of these files. */
export async function certificatesOf(paths: readonly string[]): Promise<Certificate[]> {
  const found: Certificate[] = []
  for (const place of paths) {
    found.push(...(await readCertificates({ bytes: await readKeyFile(place), place })))
  }
  return found
}

/** Unlocked secret keys of these files. */
export async function secretKeysOf(
  paths: readonly string[],
  from: PassphraseSource,
): Promise<SecretKey[]> {
  const found: SecretKey[] = []
  for (const place of paths) {
    for (const key of await readSecretKeys({ bytes: await readKeyFile(place), place })) {
      found.push(await unlocked(key, { place, ...from }))
    }
  }
  return found
}

/** What `--identity` and `--passphrase-file` said. */
interface IdentityOptions {
  readonly identity?: readonly string[]
  readonly passphraseFile?: string
}

/**
 * The secret keys of a verb that cannot do without.
 * @throws OsflashError `usage` when none was named, `io`, `decryption` or `trust` for the files
 */
export async function identitiesOf(
  { identity, passphraseFile }: IdentityOptions,
  signal: AbortSignal,
): Promise<SecretKey[]> {
  if (identity === undefined) {
    throw new OsflashError('usage', 'no --identity given: the image cannot be decrypted', {
      hints: ['--identity recipient.key'],
    })
  }
  return secretKeysOf(identity, { passphraseFile, signal })
}

/** The passphrase in a file: everything up to the first line end. */
export async function readPassphrase(path: string): Promise<string> {
  const text = (await readKeyFile(path)).toString('utf8')
  const [first = ''] = text.split(/\r?\n/)
  if (first === '') throw new OsflashError('usage', `reading ${path}: the passphrase is empty`)
  return first
}

async function unlocked(
  key: SecretKey,
  from: PassphraseSource & { readonly place: string },
): Promise<SecretKey> {
  if (!isLocked(key)) return key
  const passphrase =
    from.passphraseFile === undefined
      ? await askSecret(`passphrase of ${from.place} (${fingerprintOf(key)}): `, from.signal)
      : await readPassphrase(from.passphraseFile)
  return unlockKey(key, passphrase)
}

function readKeyFile(path: string): Promise<Buffer> {
  return readFile(path).catch((cause: unknown) => {
    throw ioError(`reading ${path}`, cause)
  })
}
