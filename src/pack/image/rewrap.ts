/**
 * Changes who may decrypt an image: a new `keys.pgp`, everything else as it is.
 *
 * 1. Read the first three members and place the others, as the manifest says.
 * 2. Add recipients (with a secret key that opens the session key), then remove others.
 * 3. Write the image anew under a partial name: first members, then the payloads unchanged.
 * 4. Flush and rename.
 *
 * Manifest and signatures stay the same, so the image is as trusted as before. Not promised:
 * that somebody who was removed cannot read copies of the image made before, or the session key
 * that was known to them.
 */
import { type FileHandle, open } from 'node:fs/promises'
import type { Certificate, SecretKey } from '../../encrypt/keys.ts'
import { addRecipients, decryptSessionKey, removeRecipients } from '../../encrypt/session-key.ts'
import { ioError, OsflashError, throwIfCancelled } from '../../errors.ts'
import type { Emit } from '../../events.ts'
import { LIMITS } from '../../format/limits.ts'
import { parseManifest } from '../../format/manifest-bytes.ts'
import {
  imageBytes,
  KEYS_MEMBER,
  MANIFEST_MEMBER,
  placeMembers,
  SIGNATURE_MEMBER,
} from '../../format/members.ts'
import { TAR_BLOCK_BYTES } from '../../format/tar-block.ts'
import {
  encodeTarHeader,
  parseTarHeader,
  type TarMember,
  tarArchiveBytes,
  tarMemberBytes,
} from '../../format/tar-header.ts'
import { MIB } from '../../units.ts'
import { checksumOf } from './assemble.ts'
import { createPartialFile, type PartialFile } from './partial-file.ts'

const COPY_BYTES = 4 * MIB

export interface RewrapOptions {
  /** Certificates that get a packet, unless they have one. */
  readonly add: readonly Certificate[]
  /** Fingerprints or key IDs of encryption (sub)keys. */
  readonly remove: readonly string[]
  /** Unlocked keys, one of which opens the image; needed only to add. */
  readonly identities: readonly SecretKey[]
  /** Where the bytes come from when `path` is no file; then `output` is needed. */
  readonly source?: RewrapSource
  /** Where the new image goes; default: in place of the old one. */
  readonly output?: string
  /** Replaces a file at `output`. */
  readonly force?: boolean
  readonly signal?: AbortSignal
  readonly emit: Emit
}

/** Ranges of an image that lies elsewhere; closed by the caller. */
export interface RewrapSource {
  readonly bytes: number
  read(offset: number, into: Uint8Array): Promise<void>
}

/** What `keys.pgp` was and is, in bytes, and the size of the new image. */
export interface RewrapReport {
  readonly keysBytesBefore: number
  readonly keysBytes: number
  readonly bytes: number
}

/**
 * @throws OsflashError `decryption` (no identity fits), `refused` (a fingerprint is not there,
 *   nobody would be left, the output exists), `format`, `limit`, `io`, `cancelled`
 */
export async function rewrapImage(path: string, options: RewrapOptions): Promise<RewrapReport> {
  const { source, output } = options
  if (source !== undefined && output === undefined) {
    throw new OsflashError('usage', `rewrapping ${path}: it is no file here`, {
      hints: ['say with --output where the new image goes'],
    })
  }
  await using image = source === undefined ? await openImage(path) : remoteImage(path, source)
  const front = await readFront(image)
  const keys = await changeKeys(front.keys.content, options)
  const force = output === undefined || options.force === true
  const { mode } = image
  await using partial = await createPartialFile({ path: output ?? path, force, mode })
  const bytes = await writeRewrapped({ image, front, keys, partial, options })
  await partial.commit(options.signal)
  return { keysBytesBefore: front.keys.content.length, keysBytes: keys.length, bytes }
}

async function changeKeys(keysPgp: Uint8Array, options: RewrapOptions): Promise<Uint8Array> {
  const { add, remove, identities } = options
  let keys = keysPgp
  if (add.length > 0) {
    const sessionKey = await decryptSessionKey(keys, identities)
    keys = await addRecipients(keys, { sessionKey, certificates: add })
  }
  return remove.length === 0 ? keys : removeRecipients(keys, remove)
}

interface OpenImage extends RewrapSource, AsyncDisposable {
  readonly path: string
  /** Permissions of the new image. */
  readonly mode: number
}

async function openImage(path: string): Promise<OpenImage> {
  const handle = await open(path, 'r').catch((cause: unknown) => {
    throw ioError(`opening ${path}`, cause)
  })
  const { size, mode } = await handle.stat()
  return {
    path,
    bytes: size,
    mode: mode & 0o777,
    read: (offset, into) => readWhole({ path, handle }, offset, into),
    [Symbol.asyncDispose]: () => handle.close(),
  }
}

const remoteImage = (path: string, source: RewrapSource): OpenImage => ({
  path,
  bytes: source.bytes,
  mode: 0o644,
  read: (offset, into) => source.read(offset, into),
  [Symbol.asyncDispose]: async () => undefined,
})

interface FrontMember {
  readonly header: TarMember
  readonly content: Buffer
}

interface Front {
  readonly keys: FrontMember
  /** Where the header of `keys.pgp` begins. */
  readonly keysAt: number
  /** Where the first index begins, and where the last segment ends, padding included. */
  readonly payloadsAt: number
  readonly payloadsEnd: number
}

async function readFront(image: OpenImage): Promise<Front> {
  const manifest = await readMember(image, 0, MANIFEST_MEMBER)
  const signatureAt = tarMemberBytes(manifest.content.length)
  const signature = await readMember(image, signatureAt, SIGNATURE_MEMBER)
  const keysAt = signatureAt + tarMemberBytes(signature.content.length)
  const keys = await readMember(image, keysAt, KEYS_MEMBER)
  const payloadsAt = keysAt + tarMemberBytes(keys.content.length)
  const placed = placeMembers(parseManifest(manifest.content), payloadsAt)
  const expected = imageBytes(placed, payloadsAt)
  if (image.bytes !== expected) {
    throw new OsflashError(
      'format',
      `reading ${image.path}: ${image.bytes} bytes where ${expected} belong`,
      { data: { bytes: image.bytes, expected }, hints: ['fetch the image again'] },
    )
  }
  const last = placed.at(-1)
  const payloadsEnd =
    last === undefined ? payloadsAt : last.headerOffset + tarMemberBytes(last.bytes)
  return { keys, keysAt, payloadsAt, payloadsEnd }
}

const FRONT_LIMITS: Readonly<Record<string, number>> = {
  [MANIFEST_MEMBER]: LIMITS.manifestBytes,
  [SIGNATURE_MEMBER]: LIMITS.signatures * LIMITS.signatureBytes,
  [KEYS_MEMBER]: LIMITS.recipients * LIMITS.keyPacketBytes,
}

async function readMember(image: OpenImage, at: number, name: string): Promise<FrontMember> {
  const block = Buffer.alloc(TAR_BLOCK_BYTES)
  await image.read(at, block)
  const header = parseTarHeader(block, at)
  const most = FRONT_LIMITS[name] ?? 0
  if (header?.name !== name || header.bytes > most) {
    throw new OsflashError('format', `reading ${image.path} at byte ${at}: not ${name}`)
  }
  const content = Buffer.alloc(header.bytes)
  await image.read(at + TAR_BLOCK_BYTES, content)
  if (header.checksum !== undefined && header.checksum !== checksumOf([content])) {
    throw new OsflashError('digest', `reading ${name} of ${image.path}: the check sum differs`, {
      hints: ['fetch the image again'],
    })
  }
  return { header, content }
}

interface Rewrapped {
  readonly image: OpenImage
  readonly front: Front
  readonly keys: Uint8Array
  readonly partial: PartialFile
  readonly options: Pick<RewrapOptions, 'signal' | 'emit'>
}

/** @returns the size of the new image */
async function writeRewrapped(parts: Rewrapped): Promise<number> {
  const { front, keys, partial } = parts
  const header = { ...front.keys.header, bytes: keys.length, checksum: checksumOf([keys]) }
  const payloadsAt = front.keysAt + tarMemberBytes(keys.length)
  const total = tarArchiveBytes(payloadsAt + front.payloadsEnd - front.payloadsAt)
  await partial.resize(total)
  await copyRange(parts, { from: 0, to: 0, bytes: front.keysAt })
  await partial.write(encodeTarHeader(header), front.keysAt)
  await partial.write(keys, front.keysAt + TAR_BLOCK_BYTES)
  const bytes = front.payloadsEnd - front.payloadsAt
  await copyRange(parts, { from: front.payloadsAt, to: payloadsAt, bytes })
  return total
}

interface CopiedRange {
  readonly from: number
  readonly to: number
  readonly bytes: number
}

async function copyRange({ image, partial, options }: Rewrapped, range: CopiedRange) {
  const { from, to, bytes } = range
  const buffer = Buffer.allocUnsafe(Math.min(COPY_BYTES, bytes))
  for (let at = 0; at < bytes; at += buffer.length) {
    throwIfCancelled(options.signal)
    const piece = buffer.subarray(0, Math.min(buffer.length, bytes - at))
    await image.read(from + at, piece)
    await partial.write(piece, to + at)
    const done = at + piece.length
    options.emit({ event: 'progress', phase: 'rewrapping', done, total: bytes, unit: 'bytes' })
  }
}

interface LocalImage {
  readonly path: string
  readonly handle: FileHandle
}

async function readWhole(image: LocalImage, offset: number, into: Uint8Array): Promise<void> {
  let done = 0
  while (done < into.length) {
    const place = `reading ${image.path} at byte ${offset + done}`
    const { bytesRead } = await image.handle
      .read(into, done, into.length - done, offset + done)
      .catch((cause: unknown) => {
        throw ioError(place, cause)
      })
    if (bytesRead === 0) throw new OsflashError('io', `${place}: the file ends here`)
    done += bytesRead
  }
}
