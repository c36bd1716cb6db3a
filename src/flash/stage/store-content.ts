/**
 * Puts on the store what the rescue needs, and nothing more.
 *
 * 1. Plan, certificates, carry and journal: small, durable one by one.
 * 2. The packed target: room is taken first (`fallocate`), then it is copied; what an interrupted
 *    run copied is kept. It gets its name when every block of it held, read from the disk.
 * 3. The session key of that image, for root alone; the identity's secret key stays where it was.
 *
 * Not promised: that the copy is right while it still is called `.part`.
 */

import { constants } from 'node:fs'
import { mkdir, open, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { copySource } from '../../deliver/copy.ts'
import { openFileSource } from '../../deliver/file.ts'
import type { Source } from '../../deliver/source.ts'
import { ioError, OsflashError } from '../../errors.ts'
import { type Emit, inPhase } from '../../events.ts'
import { exists } from '../../system/exists.ts'
import { run } from '../../system/run.ts'
import { syncFolder } from '../../system/sync-folder.ts'
import { formatBytes } from '../../units.ts'
import type { CheckSignatures } from '../../unpack/image.ts'
import { verifyImage } from '../../unpack/verify.ts'
import { removeFileSafely, writeFileSafely } from '../durable-file.ts'
import { manifestDigest } from '../image-places.ts'
import { STORE } from '../places.ts'
import { roomForImage } from '../store-shape.ts'

export interface StoredImage {
  readonly source: Source
  readonly check: CheckSignatures
  /** SHA-256 of the manifest that the plan names, lower-case hex. */
  readonly manifestSha256: string
  readonly sessionKey: Uint8Array
  readonly emit: Emit
  readonly signal?: AbortSignal
}

/** A certificate whose signatures count, as the operator gave it. */
export interface TrustFile {
  readonly name: string
  readonly bytes: Uint8Array
}

/** @throws OsflashError `io` */
export async function storeTrust(store: string, files: readonly TrustFile[]): Promise<void> {
  const folder = join(store, STORE.trust)
  await mkdir(folder, { recursive: true, mode: 0o700 }).catch((cause: unknown) => {
    throw ioError(`making ${folder}`, cause)
  })
  for (const [index, { bytes }] of files.entries()) {
    await writeFileSafely(join(folder, `${index}.pub`), bytes, 0o600)
  }
  await syncFolder(store)
}

/**
 * The packed target on the store, whole and verified; does nothing when it is there.
 * @throws OsflashError `refused` (too small), `network`, `io`, `digest`, `signature`
 */
export async function storeImage(store: string, image: StoredImage): Promise<void> {
  const { emit, source } = image
  const path = join(store, STORE.image)
  const verify = (at: string) =>
    inPhase(emit, 'verifying the stored target', () => verifyStored(at, image)).catch(
      async (error: unknown) => {
        // What is wrong now is wrong for ever: the next run fetches it again.
        if (!image.signal?.aborted) await removeFileSafely(at)
        throw error
      },
    )
  if (!(await exists(path))) {
    const part = `${path}.part`
    await inPhase(emit, 'fetching the target', () => fetchImage(part, image))
    await verify(part)
    await rename(part, path).catch((cause: unknown) => {
      throw ioError(`renaming ${part}`, cause)
    })
    await syncFolder(store)
  } else await verify(path)
  const key = `${Buffer.from(image.sessionKey).toString('hex')}\n`
  await writeFileSafely(join(store, STORE.sessionKey), key, 0o600)
  emit({ event: 'note', text: `stored ${source.name}: ${formatBytes(source.bytes)}` })
}

async function fetchImage(part: string, { source, emit, signal }: StoredImage): Promise<void> {
  const { O_RDWR, O_CREAT, O_NOFOLLOW } = constants
  const failed = (cause: unknown): never => {
    throw ioError(`storing ${part}`, cause)
  }
  await using file = await open(part, O_RDWR | O_CREAT | O_NOFOLLOW, 0o600).catch(failed)
  const { size } = await file.stat()
  // Room for the whole image, real blocks; the length still says how far an earlier run came.
  const room = String(roomForImage(source.bytes))
  await run(['fallocate', '--keep-size', '--length', room, part]).catch((cause: unknown) => {
    throw withoutRoom(source, cause)
  })
  const from = size > source.bytes ? 0 : size
  await copySource(
    source,
    { file, path: part },
    {
      from,
      onProgress: (done) => {
        const phase = 'fetching the target'
        emit({ event: 'progress', phase, done, total: source.bytes, unit: 'bytes' })
      },
      ...(signal === undefined ? {} : { signal }),
    },
  )
  await file.truncate(source.bytes).catch(failed)
  await file.sync().catch(failed)
}

/** Only a full disk asks for a larger one. A tool that is missing stays that. */
function withoutRoom({ bytes }: Source, cause: unknown): unknown {
  if (!(cause instanceof OsflashError) || cause.code !== 'process') return cause
  if (!String(cause.data.stderr).includes('No space left')) {
    return new OsflashError('io', `storing the target: ${cause.message}`, { cause })
  }
  return new OsflashError('refused', `storing the target: no room for ${formatBytes(bytes)}`, {
    cause,
    hints: ['choose a larger disk for --stage'],
  })
}

/** From the disk: what the page cache holds proves nothing. */
async function verifyStored(path: string, image: StoredImage): Promise<void> {
  const { check, emit, signal, manifestSha256 } = image
  await run(['dd', `if=${path}`, 'iflag=nocache', 'count=0', 'status=none'])
  await using source = await openFileSource(path)
  const { image: stored } = await verifyImage({
    source,
    check,
    identities: [],
    emit,
    ...(signal === undefined ? {} : { signal }),
  })
  if (manifestDigest(stored.manifestBytes) === manifestSha256) return
  throw new OsflashError('digest', `verifying ${path}: it is not the image of the plan`, {
    hints: ['the image was replaced meanwhile: osflash abort, then apply again'],
  })
}
