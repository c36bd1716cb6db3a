/**
 * Opens an image: what may be believed of it, and where everything lies.
 *
 * 1. Read the first three members; each has a limit of its own before a byte of it is read.
 * 2. Check the signatures over the exact bytes of the manifest, then parse those same bytes.
 * 3. Place all other members by the manifest, and compare their headers, their padding and the
 *    end of the archive with what a writer must have put there.
 *
 * Everything after this may use any range of the image; a range is believed once the digest
 * that the manifest or an index gives for it held.
 *
 * Not promised: that segments are whole; that shows when they are read.
 */
import type { Source } from '../deliver/source.ts'
import type { VerifiedSigner } from '../encrypt/signature.ts'
import { OsflashError } from '../errors.ts'
import { memberChecksum } from '../format/digest.ts'
import { enforce, LIMITS, type LimitName } from '../format/limits.ts'
import type { Manifest } from '../format/manifest.ts'
import { parseManifest } from '../format/manifest-bytes.ts'
import {
  imageBytes,
  KEYS_MEMBER,
  MANIFEST_MEMBER,
  type PlacedMember,
  placeMembers,
  SIGNATURE_MEMBER,
} from '../format/members.ts'
import { TAR_BLOCK_BYTES } from '../format/tar-block.ts'
import {
  encodeTarHeader,
  parseTarHeader,
  type TarMember,
  tarMemberBytes,
} from '../format/tar-header.ts'

/** An image whose manifest may be used. */
export interface OpenImage {
  readonly source: Source
  readonly manifest: Manifest
  readonly manifestBytes: Uint8Array
  readonly signatureBytes: Uint8Array
  readonly keysBytes: Uint8Array
  /** Who signed; empty when the signatures were not checked. */
  readonly signers: readonly VerifiedSigner[]
  /** Indexes and segments, in the order of the archive. */
  readonly members: readonly PlacedMember[]
  /** The same by name: an image may have 65,536 segments. */
  readonly placeOf: ReadonlyMap<string, PlacedMember>
}

/** Says who signed the bytes, or throws; `undefined` where the caller takes any manifest. */
export type CheckSignatures =
  | ((manifest: Uint8Array, signatures: Uint8Array) => Promise<readonly VerifiedSigner[]>)
  | undefined

/**
 * Opens the image behind `source`. The caller closes the source.
 * @throws OsflashError `limit`, `format`, `digest`, or what `check` throws (`signature`)
 */
export async function openImage(source: Source, check: CheckSignatures): Promise<OpenImage> {
  const manifestPart = await readLeading(source, 0, {
    name: MANIFEST_MEMBER,
    limit: 'manifestBytes',
    max: LIMITS.manifestBytes,
  })
  const signaturePart = await readLeading(source, manifestPart.end, {
    name: SIGNATURE_MEMBER,
    limit: 'signatureBytes',
    max: LIMITS.signatures * LIMITS.signatureBytes,
  })
  const keysPart = await readLeading(source, signaturePart.end, {
    name: KEYS_MEMBER,
    limit: 'keyPacketBytes',
    max: LIMITS.recipients * LIMITS.keyPacketBytes,
  })
  const signers = (await check?.(manifestPart.bytes, signaturePart.bytes)) ?? []
  const manifest = parseManifest(manifestPart.bytes)
  const members = placeMembers(manifest, keysPart.end)
  const mtime = Math.floor(Date.parse(manifest.created) / 1000)
  if (manifestPart.mtime !== mtime || keysPart.mtime !== mtime || signaturePart.mtime !== mtime) {
    throw damaged(MANIFEST_MEMBER, 'the member times are not the image time')
  }
  const image = {
    source,
    manifest,
    manifestBytes: manifestPart.bytes,
    signatureBytes: signaturePart.bytes,
    keysBytes: keysPart.bytes,
    signers,
    members,
    placeOf: new Map(members.map((member) => [member.name, member])),
  }
  await checkArchive(image, keysPart.end, mtime)
  return image
}

/** Refuses an image of trees where a disk is wanted, and the other way round. */
export function expectKind(image: OpenImage, kind: 'disk' | 'tree'): void {
  const holds = image.manifest.disk === undefined ? 'tree' : 'disk'
  if (holds === kind) return
  throw new OsflashError('refused', `unpacking ${image.manifest.name}: it holds a ${holds}`, {
    hints: [holds === 'disk' ? 'give a file or a block device with --to' : 'give a directory'],
  })
}

interface LeadingMember {
  readonly name: string
  readonly limit: LimitName
  readonly max: number
}

interface LeadingPart {
  readonly bytes: Uint8Array
  readonly mtime: number
  /** Where the next header begins. */
  readonly end: number
}

async function readLeading(
  source: Source,
  at: number,
  expected: LeadingMember,
): Promise<LeadingPart> {
  const header = await readRange(source, at, TAR_BLOCK_BYTES)
  const member = parseTarHeader(header, at)
  if (member?.name !== expected.name) {
    throw damaged(expected.name, `another member stands at byte ${at}`)
  }
  if (member.bytes > expected.max) enforce(expected.limit, member.bytes, expected.name)
  const whole = await readRange(source, at + TAR_BLOCK_BYTES, tarMemberBytes(member.bytes) - 512)
  const bytes = whole.subarray(0, member.bytes)
  if (!isZero(whole.subarray(member.bytes))) throw damaged(expected.name, 'its padding is not zero')
  checkChecksum(member, bytes)
  return { bytes, mtime: member.mtime, end: at + tarMemberBytes(member.bytes) }
}

/** Bit rot in what no digest of the manifest covers (docs/format.md, "Check sums"). */
function checkChecksum(member: TarMember, bytes: Uint8Array): void {
  const expected = member.name === MANIFEST_MEMBER ? undefined : memberChecksum(bytes)
  if (member.checksum !== expected) {
    throw new OsflashError('digest', `reading ${member.name}: its check sum does not match`, {
      data: { member: member.name },
      hints: ['fetch the image again'],
    })
  }
}

async function checkArchive(image: OpenImage, firstHeader: number, mtime: number): Promise<void> {
  const { source, members } = image
  const expected = imageBytes(members, firstHeader)
  if (source.bytes !== expected) {
    throw new OsflashError(
      'format',
      `opening ${source.name}: ${source.bytes} bytes, not ${expected}`,
      {
        data: { bytes: source.bytes, expected },
        hints: ['the image is truncated or was changed; fetch it again'],
      },
    )
  }
  let end = firstHeader
  for (const member of members) {
    await checkPadding(source, end, member.headerOffset)
    const header = await readRange(source, member.headerOffset, TAR_BLOCK_BYTES)
    const wanted = encodeTarHeader({ name: member.name, bytes: member.bytes, mtime })
    if (!wanted.equals(header)) {
      throw damaged(member.name, `its header at byte ${member.headerOffset} is not the signed one`)
    }
    end = member.contentOffset + member.bytes
  }
  await checkPadding(source, end, expected)
}

async function checkPadding(source: Source, from: number, to: number): Promise<void> {
  if (from === to) return
  if (!isZero(await readRange(source, from, to - from))) {
    throw damaged('the archive', `bytes ${from} to ${to - 1} are not zero`)
  }
}

async function readRange(source: Source, at: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length)
  await source.read(at, bytes)
  return bytes
}

function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0)
}

function damaged(what: string, why: string): OsflashError {
  return new OsflashError('format', `reading ${what}: ${why}`)
}
