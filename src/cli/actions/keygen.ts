/**
 * What `osflash keygen` does.
 *
 * 1. Four armored files in one folder; the secret ones are 0600 from their first byte.
 * 2. Nothing is overwritten without `--force`; with one file in the way, none is written.
 */
import { constants } from 'node:fs'
import { lstat, mkdir, open, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { fingerprintsOf, generateKeys, type NewKeys, readCertificates } from '../../encrypt/keys.ts'
import { ioError, OsflashError } from '../../errors.ts'
import { askSecret } from '../ask.ts'
import { readPassphrase } from '../key-files.ts'
import type { VerbContext } from '../verb.ts'

export interface KeygenOptions {
  readonly out: string
  readonly name?: string
  readonly passphrase?: boolean
  readonly passphraseFile?: string
  readonly force?: boolean
}

/** @throws OsflashError `usage`, `refused` when a file is in the way, `io`, `cancelled` */
export async function keygen(options: KeygenOptions, context: VerbContext): Promise<void> {
  const passphrase = await passphraseOf(options, context.signal)
  const keys = await generateKeys({
    ...(options.name === undefined ? {} : { name: options.name }),
    ...(passphrase === undefined ? {} : { passphrase }),
  })
  await writeKeys(options, keys)
  const report = {
    folder: options.out,
    signer: await fingerprint(keys.signerCert),
    recipient: await fingerprint(keys.recipientCert),
  }
  const text = `signer     ${report.signer}\nrecipient  ${report.recipient}\n`
  context.stdout.write(context.json ? `${JSON.stringify(report)}\n` : text)
}

async function passphraseOf(
  options: KeygenOptions,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (options.passphraseFile !== undefined) return readPassphrase(options.passphraseFile)
  if (!options.passphrase) return undefined
  const first = await askSecret('new passphrase: ', signal)
  if (first === (await askSecret('the same again: ', signal)) && first !== '') return first
  throw new OsflashError('usage', 'reading the passphrase: empty, or the two are not the same')
}

async function writeKeys(options: KeygenOptions, keys: NewKeys): Promise<void> {
  const files = [
    { name: 'signer.key', text: keys.signerKey, mode: 0o600 },
    { name: 'signer.pub', text: keys.signerCert, mode: 0o644 },
    { name: 'recipient.key', text: keys.recipientKey, mode: 0o600 },
    { name: 'recipient.pub', text: keys.recipientCert, mode: 0o644 },
  ]
  await mkdir(options.out, { recursive: true, mode: 0o700 }).catch((cause: unknown) => {
    throw ioError(`making ${options.out}`, cause)
  })
  if (!options.force) await refuseExisting(files.map((file) => join(options.out, file.name)))
  for (const file of files) await writeKey(join(options.out, file.name), file)
}

async function refuseExisting(paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    const exists = await lstat(path).then(
      () => true,
      () => false,
    )
    if (exists) {
      throw new OsflashError('refused', `writing ${path}: it exists`, {
        hints: ['choose another --out', '--force overwrites the keys; images for them are lost'],
      })
    }
  }
}

async function writeKey(
  path: string,
  file: { readonly text: string; readonly mode: number },
): Promise<void> {
  const partial = `${path}.new`
  const { O_WRONLY, O_CREAT, O_TRUNC, O_NOFOLLOW } = constants
  try {
    const handle = await open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, file.mode)
    try {
      await handle.chmod(file.mode)
      await handle.writeFile(file.text)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(partial, path)
  } catch (cause) {
    throw ioError(`writing ${path}`, cause)
  }
}

/** Of the key that acts: the recipient's is its subkey, which images name. */
async function fingerprint(certificate: string): Promise<string> {
  const bytes = new TextEncoder().encode(certificate)
  const [key] = await readCertificates({ bytes, place: 'the new key' })
  return (key === undefined ? undefined : fingerprintsOf(key).at(-1)) ?? ''
}
