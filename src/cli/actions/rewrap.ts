/**
 * What `osflash rewrap` does.
 *
 * 1. `--add` takes certificates, `--remove` fingerprints as `osflash inspect` prints them, or
 *    the certificate itself.
 * 2. Adding needs an identity, because the session key must be opened; removing needs none.
 */
import { access } from 'node:fs/promises'
import { isAddress, openSource } from '../../deliver/open.ts'
import type { Source } from '../../deliver/source.ts'
import { fingerprintsOf } from '../../encrypt/keys.ts'
import { listRecipients } from '../../encrypt/session-key.ts'
import { OsflashError } from '../../errors.ts'
import { rewrapImage } from '../../pack/image/rewrap.ts'
import { formatBytes } from '../../units.ts'
import { openImage } from '../../unpack/image.ts'
import { certificatesOf, secretKeysOf } from '../key-files.ts'
import type { VerbContext } from '../verb.ts'

export interface RewrapVerbOptions {
  readonly add?: readonly string[]
  readonly remove?: readonly string[]
  readonly identity?: readonly string[]
  readonly passphraseFile?: string
  readonly output?: string
  readonly force?: boolean
}

/** @throws OsflashError `usage`, `refused`, `decryption` and what writing gives */
export async function rewrap(
  path: string,
  options: RewrapVerbOptions,
  context: VerbContext,
): Promise<void> {
  if (options.add === undefined && options.remove === undefined) {
    throw new OsflashError('usage', 'nothing to do: neither --add nor --remove given', {
      hints: ['osflash rewrap --help'],
    })
  }
  if (options.add !== undefined && options.identity === undefined) {
    throw new OsflashError('usage', 'no --identity given: adding needs the key of a recipient', {
      hints: ['--identity recipient.key'],
    })
  }
  const { signal } = context
  const { passphraseFile } = options
  await using source = await openSource(path, { signal })
  const report = await rewrapImage(path, {
    add: await certificatesOf(options.add ?? []),
    remove: await recipientsNamed(source, options.remove ?? []),
    identities: await secretKeysOf(options.identity ?? [], { passphraseFile, signal }),
    force: options.force ?? false,
    signal,
    emit: context.emit,
    ...(isAddress(path) ? { source } : {}),
    ...(options.output === undefined ? {} : { output: options.output }),
  })
  const output = options.output ?? path
  const keys = `keys ${report.keysBytesBefore} → ${report.keysBytes} bytes`
  const text = `${output}: ${formatBytes(report.bytes)}, ${keys}\n`
  context.stdout.write(context.json ? `${JSON.stringify({ output, ...report })}\n` : text)
}

/** Fingerprints as they are; certificates as those of their keys that are recipients. */
async function recipientsNamed(source: Source, names: readonly string[]): Promise<string[]> {
  const found: string[] = []
  for (const name of names) {
    const isFile = await access(name).then(
      () => true,
      () => false,
    )
    if (!isFile) found.push(name)
    else found.push(...(await recipientsOfCertificates(source, name)))
  }
  return found
}

async function recipientsOfCertificates(source: Source, file: string): Promise<string[]> {
  const image = await openImage(source, undefined)
  const present = listRecipients(image.keysBytes).flatMap(({ name }) => name ?? [])
  const certificates = await certificatesOf([file])
  const fingerprints = certificates.flatMap(fingerprintsOf)
  const matching = present.filter((name) => fingerprints.some((one) => one.endsWith(name)))
  if (matching.length > 0) return matching
  throw new OsflashError('refused', `removing ${file}: it is no recipient of ${source.name}`, {
    hints: [`osflash inspect ${source.name}`],
  })
}
