/**
 * Writes an image: raw payloads in, one signed and encrypted `.osimg` file out.
 *
 * 1. Check everything that can be checked before the work: options, manifest, keys, names.
 * 2. Pack and seal all payloads into a spool file in a private folder beside the image.
 * 3. Describe them in the manifest and sign it.
 * 4. Put the members together under a partial name, flush, rename.
 *
 * Whatever goes wrong or is cancelled before the rename leaves neither image nor scratch.
 * Not promised: the same bytes for the same source; salts, keys and signatures are new each
 * time. The content part of each index is the same, whatever the number of workers.
 */
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import { encryptSessionKey, generateSessionKey } from '../../encrypt/session-key.ts'
import { signDetached } from '../../encrypt/signature.ts'
import { ioError, throwIfCancelled } from '../../errors.ts'
import { inPhase } from '../../events.ts'
import { makeScratch } from '../../system/scratch.ts'
import type { ImageSource, PayloadSource } from '../source.ts'
import { assembleImage } from './assemble.ts'
import { describeImage, draftManifest, listMembers } from './describe.ts'
import type { OpenedFile } from './jobs.ts'
import { openPayloads } from './open-payloads.ts'
import { createPartialFile } from './partial-file.ts'
import type { PackedPayload } from './payload-writer.ts'
import { packPayloads } from './payloads.ts'
import { type PackReport, reportOf, timedEmit } from './report.ts'
import type { ScanPayload } from './scan.ts'
import { makeSetup, type PackOptions, type Settings, settle } from './settings.ts'
import { startPackWorkers } from './workers.ts'

/**
 * @throws OsflashError `usage` (options), `format` or `limit` (the source), `refused` (the image
 *   exists, a certificate cannot encrypt), `signature`, `decryption`, `io`, `cancelled`
 */
export async function packImage(source: ImageSource, options: PackOptions): Promise<PackReport> {
  const settings = settle(options)
  const { emit, seconds } = timedEmit(options.emit)
  const sessionKey = generateSessionKey()
  await using workers = startPackWorkers(settings)
  await checkManifestAndSigners(source, settings)
  const keys = await encryptSessionKey(sessionKey, settings.recipients)

  await using opened = await openPayloads(source.payloads)
  await using scratch = await makeScratch('pack', settings.scratchDirectory)
  await using spool = await createSpool(join(scratch.path, 'segments'))
  await using image = await createPartialFile({ path: settings.output, force: settings.force })
  const files = { payloads: opened.opened, spool: fdOf(spool), image: fdOf(image) }
  const setup = makeSetup(settings, { ...files, sessionKey })
  workers.setUp(setup)
  // Declared last, so ended first: no thread may write to a descriptor that was closed.
  await using _ended = { [Symbol.asyncDispose]: () => workers.close() }

  const packed = await inPhase(emit, 'compressing', () =>
    packPayloads(source.payloads.map(scanned), { setup, workers, emit, signal: settings.signal }),
  )
  const manifest = describeImage(source, settings, packed.map(describedOf))
  const signatures = await signDetached(manifest, settings.signers)
  const { codec, signal } = settings
  const members = listMembers({ manifest, signatures, keys, source, packed, codec })
  const mtime = Math.floor(Date.parse(source.created) / 1000)
  const bytes = await inPhase(emit, 'assembling', () =>
    assembleImage(members, { image, spool, workers, mtime, signal, emit }),
  )
  await inPhase(emit, 'flushing', () => image.commit(signal))
  return reportOf({ source, packed, bytes, seconds })
}

/** Faults of the source and keys that cannot sign: before the work, not after. */
async function checkManifestAndSigners(source: ImageSource, settings: Settings): Promise<void> {
  throwIfCancelled(settings.signal)
  await signDetached(draftManifest(source, settings), settings.signers)
}

interface Spool extends AsyncDisposable {
  readonly path: string
  readonly handle: FileHandle
}

/** The file that holds all segments until the image is assembled; its folder is removed later. */
async function createSpool(path: string): Promise<Spool> {
  const handle = await open(path, 'wx+', 0o600).catch((cause: unknown) => {
    throw ioError(`creating ${path}`, cause)
  })
  return { path, handle, [Symbol.asyncDispose]: () => handle.close() }
}

const fdOf = ({ path, handle }: Pick<Spool, 'path' | 'handle'>): OpenedFile => ({
  path,
  fd: handle.fd,
})

const scanned = ({ name, range }: PayloadSource): ScanPayload => ({ name, rawBytes: range.length })

const describedOf = ({ described }: PackedPayload): PackedPayload['described'] => described
