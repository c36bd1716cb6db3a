/**
 * What the vectors are: a name, what a reader must make of it, and how it is composed.
 *
 * 1. `ok-*` must be read; the rest must fail with the class that is written here.
 * 2. A vector is never changed once it is in a release: add another one with a new name.
 */
import { compress as zstd } from 'zstd-napi'
import type { Certificate, SecretKey } from '../../src/encrypt/keys.ts'
import type { ErrorCode } from '../../src/errors.ts'
import type { Extent } from '../../src/format/index.ts'
import type { DiskLayout } from '../../src/format/manifest.ts'
import {
  archiveOf,
  composeImage,
  composeMembers,
  type FrameSpec,
  frame,
  type ImageSpec,
  type Member,
} from './compose.ts'

export interface VectorKeys {
  readonly signer: SecretKey
  readonly stranger: SecretKey
  readonly recipient: Certificate
  readonly gpg: Certificate
}

export interface VectorCase {
  readonly name: string
  readonly expect: 'ok' | ErrorCode
  /** What makes it wrong, or what it shows. */
  readonly why: string
  /** Raw bytes of the payload; of those that must be read. */
  readonly raw?: Buffer
  readonly make: () => Promise<Buffer>
}

/** Small, so that most vectors fit one record of a tar. */
const FRAME = 300
/** Large enough for several chunks in a segment. */
const GOOD_FRAME = 3_000
const DISK: DiskLayout = {
  sectorBytes: 512,
  minimumBytes: 65_536,
  table: { kind: 'none' },
  partitions: [],
}

/** Bytes that do not compress, always the same. */
export function pattern(bytes: number, seed: number): Buffer {
  const out = Buffer.alloc(bytes)
  let state = (seed * 2_654_435_761 + 97) >>> 0
  for (let i = 0; i < bytes; i += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    out[i] = state >>> 24
  }
  return out
}

const frames = (seed: number, bytes = FRAME): FrameSpec[] => [
  frame(pattern(bytes, seed)),
  frame(pattern(bytes, seed + 1)),
]
const data = (length: number): Extent => ({ offset: 0, length, kind: 'data' })

/** Two segments of two frames, then zeros. */
function usual(keys: VectorKeys, more: Partial<ImageSpec> = {}, bytes = FRAME): ImageSpec {
  const length = 4 * bytes
  return {
    payload: {
      name: 'root',
      place: { kind: 'region', offsetBytes: 4_096 },
      rawBytes: length + 8_192,
      extents: [data(length), { offset: length, length: 8_192, kind: 'zero' }],
      segments: [frames(1, bytes), frames(3, bytes)],
    },
    disk: DISK,
    signers: [keys.signer],
    recipients: [keys.recipient],
    ...more,
  }
}

/** One segment of one frame that the index describes as `rawLength` bytes. */
function oneFrame(keys: VectorKeys, spec: FrameSpec, more: Partial<ImageSpec> = {}): ImageSpec {
  const rawBytes = spec.rawLength ?? spec.raw.length
  const image = usual(keys, more)
  return {
    ...image,
    payload: { ...image.payload, rawBytes, extents: [data(rawBytes)], segments: [[spec]] },
  }
}

const usualRaw = Buffer.concat([
  ...[1, 2, 3, 4].map((seed) => pattern(GOOD_FRAME, seed)),
  Buffer.alloc(8_192),
])

/** Vectors that must be read. */
export function goodCases(keys: VectorKeys, tree: Buffer, entries: number): VectorCase[] {
  const sealed = (name: string, why: string, more: Partial<ImageSpec>): VectorCase => ({
    name,
    expect: 'ok',
    why,
    raw: usualRaw,
    make: () => composeImage(usual(keys, more, GOOD_FRAME)),
  })
  const xz = usual(keys, { codec: 'xz' }, GOOD_FRAME)
  const segments = [1, 3].map((seed) =>
    [seed, seed + 1].map((one) => frame(pattern(GOOD_FRAME, one), 'xz')),
  )
  const treeSpec = oneFrame(keys, frame(tree))
  const { disk: _, ...noDisk } = treeSpec
  const empty = usual(keys)
  return [
    sealed('ok-zstd-ocb', 'two segments of two frames, OCB', {}),
    sealed('ok-zstd-gcm', 'the same with GCM', { aead: 'gcm' }),
    sealed('ok-two-recipients', 'a version 6 key and a version 4 key that gpg made', {
      recipients: [keys.gpg, keys.recipient],
    }),
    sealed('ok-two-signers', 'signed by a stranger as well', {
      signers: [keys.stranger, keys.signer],
    }),
    {
      ...sealed('ok-xz', 'frames are xz streams', {}),
      make: () => composeImage({ ...xz, payload: { ...xz.payload, segments } }),
    },
    {
      name: 'ok-tree',
      expect: 'ok',
      why: 'a file tree: a folder, a file, a hard link and a symbolic link',
      raw: tree,
      make: () =>
        composeImage({
          ...noDisk,
          payload: { ...noDisk.payload, place: { kind: 'tree', entries } },
        }),
    },
    {
      name: 'ok-empty',
      expect: 'ok',
      why: 'zeros and unused ranges alone: no frame, no segment',
      raw: Buffer.alloc(16_384),
      make: () =>
        composeImage({
          ...empty,
          payload: {
            ...empty.payload,
            rawBytes: 16_384,
            extents: [
              { offset: 0, length: 8_192, kind: 'zero' },
              { offset: 8_192, length: 8_192, kind: 'unused' },
            ],
            segments: [],
          },
        }),
    },
  ]
}

/** Vectors whose archive is wrong. */
export function archiveCases(keys: VectorKeys): VectorCase[] {
  const of = (
    name: string,
    expect: ErrorCode,
    why: string,
    bend: (members: Member[], older: Member[]) => Buffer,
  ): VectorCase => ({
    name,
    expect,
    why,
    make: async () => {
      const sessionKey = pattern(32, 99)
      const older = await composeMembers(usual(keys, { sessionKey, sequence: 1 }))
      return bend(await composeMembers(usual(keys, { sessionKey, sequence: 2 })), older)
    },
  })
  const flipped = (member: number, code: ErrorCode): VectorCase =>
    of(`flip-member-${member}`, code, `one bit of member ${member} is flipped`, (members) =>
      archiveWithFlip(members, member),
    )
  const pick = (members: readonly Member[], order: readonly number[]): Member[] =>
    order.flatMap((n) => members[n] ?? [])
  const contents = (members: readonly Member[], from: Record<number, Uint8Array | undefined>) =>
    members.map((one, n) => ({ ...one, content: from[n] ?? one.content }))
  return [
    flipped(0, 'signature'),
    flipped(1, 'digest'),
    flipped(2, 'digest'),
    flipped(3, 'digest'),
    flipped(4, 'digest'),
    flipped(5, 'digest'),
    of('segments-swapped', 'digest', 'the content of both segments changed places', (members) =>
      archiveOf(contents(members, { 4: members[5]?.content, 5: members[4]?.content })),
    ),
    of('segment-repeated', 'digest', 'segment 0 stands in the place of segment 1 too', (members) =>
      archiveOf(contents(members, { 5: members[4]?.content })),
    ),
    of('segment-dropped', 'format', 'the last member is missing', (members) =>
      archiveOf(members.slice(0, 5)),
    ),
    of('segment-older', 'digest', 'segment 1 of an older image with one session key', (m, older) =>
      archiveOf(contents(m, { 5: older[5]?.content })),
    ),
    of('index-older', 'digest', 'the index of an older signed image', (members, older) =>
      archiveOf(contents(members, { 3: older[3]?.content })),
    ),
    of('signature-older', 'signature', 'the signature of an older image', (members, older) =>
      archiveOf(contents(members, { 1: older[1]?.content })),
    ),
    of('signature-empty', 'format', 'no signature at all', (members) =>
      archiveOf(contents(members, { 1: new Uint8Array() })),
    ),
    of('two-manifests', 'format', 'an older manifest and its signature follow', (members, older) =>
      archiveOf([...pick(members, [0, 1]), ...pick(older, [0, 1]), ...members.slice(2)]),
    ),
    of('manifest-behind', 'format', 'an older manifest stands at the end', (members, older) =>
      archiveOf([...members, ...pick(older, [0])]),
    ),
    of('member-twice', 'format', 'segment 1 is listed twice', (members) =>
      archiveOf([...members, ...pick(members, [5])]),
    ),
    of('truncated', 'format', 'the last block is missing', (members) =>
      archiveOf(members).subarray(0, -512),
    ),
    of('truncated-early', 'io', 'it ends inside the manifest', (members) =>
      archiveOf(members).subarray(0, 1_000),
    ),
    of('trailing-bytes', 'format', 'one more byte at the end', (members) =>
      Buffer.concat([archiveOf(members), Buffer.alloc(1)]),
    ),
    of('trailing-record', 'format', 'one more record of zeros', (members) =>
      Buffer.concat([archiveOf(members), Buffer.alloc(10_240)]),
    ),
  ]
}

function archiveWithFlip(members: readonly Member[], number: number): Buffer {
  const archive = archiveOf(members)
  let at = 0
  for (const { content } of members.slice(0, number)) {
    at += 512 + Math.ceil(content.length / 512) * 512
  }
  const place = at + 512 + Math.floor((members[number]?.content.length ?? 0) / 2)
  archive.writeUInt8(archive.readUInt8(place) ^ 4, place)
  return archive
}

/** Vectors that strangers could make. */
export function strangerCases(keys: VectorKeys): VectorCase[] {
  return [
    {
      name: 'signer-unpinned',
      expect: 'signature',
      why: 'a perfect image for this recipient, signed by a stranger alone',
      make: () => composeImage(usual(keys, { signers: [keys.stranger] })),
    },
    {
      name: 'stranger-segment',
      expect: 'digest',
      why: 'a segment that a stranger sealed, and keys.pgp for it, in a signed image',
      make: async () => {
        const right = await composeMembers(usual(keys))
        const wrong = await composeMembers(usual(keys, { signers: [keys.stranger] }))
        return archiveOf(
          right.map((one, n) => ({ ...one, content: wrongContent(wrong, n) ?? one.content })),
        )
      },
    },
    {
      name: 'keys-of-another-image',
      expect: 'decryption',
      why: 'keys.pgp gives another session key to this recipient',
      make: async () => {
        const right = await composeMembers(usual(keys))
        const wrong = await composeMembers(usual(keys))
        const keysPgp = wrong[2]?.content ?? new Uint8Array()
        return archiveOf(right.map((one, n) => (n === 2 ? { ...one, content: keysPgp } : one)))
      },
    },
    {
      name: 'recipient-unknown',
      expect: 'decryption',
      why: 'encrypted for somebody else',
      make: () => composeImage(usual(keys, { recipients: [keys.gpg] })),
    },
  ]
}

const wrongContent = (wrong: readonly Member[], n: number): Uint8Array | undefined =>
  n === 2 || n === 5 ? wrong[n]?.content : undefined

/** Vectors that the right signer signed, and that are wrong all the same. */
export function signedCases(keys: VectorKeys): VectorCase[] {
  const of = (
    name: string,
    why: string,
    spec: () => ImageSpec,
    expect: ErrorCode = 'format',
  ): VectorCase => ({ name, expect, why, make: async () => composeImage(spec()) })
  const plain = pattern(FRAME, 1)
  const good = frame(plain)
  const twice = Buffer.concat([
    frame(plain.subarray(0, 100)).packed,
    frame(plain.subarray(100)).packed,
  ])
  const xzTwice = Buffer.concat([
    frame(plain.subarray(0, 100), 'xz').packed,
    frame(plain.subarray(100), 'xz').packed,
  ])
  const framed = (packed: Uint8Array, rawLength = FRAME): FrameSpec => ({
    raw: plain,
    packed,
    rawLength,
  })
  return [
    of('index-gap', 'the extents leave a gap', () =>
      usual(keys, {
        index: withExtents([data(1_200), { offset: 1_712, length: 7_680, kind: 'zero' }]),
      }),
    ),
    of('index-overlap', 'two extents overlap', () =>
      usual(keys, {
        index: withExtents([data(1_200), { offset: 688, length: 8_704, kind: 'zero' }]),
      }),
    ),
    of('index-frame-outside', 'frames that no extent holds', () =>
      usual(keys, { index: withExtents([{ offset: 0, length: 9_392, kind: 'zero' }]) }),
    ),
    of('index-trailing', 'bytes behind the content part', () =>
      usual(keys, { content: (bytes) => Buffer.concat([bytes, Buffer.alloc(4)]) }),
    ),
    of('frame-size-differs', 'the frame holds less than the index says', () =>
      oneFrame(keys, framed(good.packed, FRAME + 20)),
    ),
    of('frame-two-in-one', 'two zstd frames of together the right size', () =>
      oneFrame(keys, framed(twice)),
    ),
    of('frame-two-xz-streams', 'two xz streams of together the right size', () =>
      oneFrame(keys, framed(xzTwice), { codec: 'xz' }),
    ),
    of('frame-trailing-bytes', 'bytes behind the frame', () =>
      oneFrame(keys, framed(Buffer.concat([good.packed, Buffer.alloc(3)]))),
    ),
    of('frame-no-content-size', 'a frame without content size', () =>
      oneFrame(keys, framed(zstd(plain, { contentSizeFlag: false }))),
    ),
    of('frame-dictionary', 'a frame that wants a dictionary', () =>
      oneFrame(keys, framed(handMade(plain, { descriptor: 0x81, window: 0x20 }))),
    ),
    of('frame-window', 'a frame with a window of 9 MiB', () =>
      oneFrame(keys, framed(handMade(plain, { descriptor: 0x80, window: (13 << 3) | 1 }))),
    ),
    of(
      'frame-digest',
      'the raw bytes are not those of the index',
      () => oneFrame(keys, { raw: pattern(FRAME, 7), packed: good.packed }),
      'digest',
    ),
    of('segment-compressed', 'a compressed data packet inside', () =>
      oneFrame(keys, good, { plaintext: (bytes) => startingWith(bytes, [0xc8]) }),
    ),
    of('segment-marker', 'a marker packet inside', () =>
      oneFrame(keys, good, { plaintext: (bytes) => startingWith(bytes, [0xca]) }),
    ),
    of('segment-literal-named', 'literal data with a file name', () =>
      oneFrame(keys, good, { plaintext: (bytes) => bytes.fill(1, 7, 8) }),
    ),
    of('segment-plaintext-longer', 'bytes behind the last frame, inside the literal data', () =>
      oneFrame(keys, good, { plaintext: lengthened }),
    ),
    of('segment-partial-length', 'a partial body length', () =>
      oneFrame(keys, good, { sealed: (bytes) => startingWith(bytes, [0xd2, 0xea]) }),
    ),
    of('segment-old-format', 'a packet header in the old format', () =>
      oneFrame(keys, good, { sealed: (bytes) => startingWith(bytes, [0xa6]) }),
    ),
    of('segment-seipd-1', 'a SEIPD packet of version 1', () =>
      oneFrame(keys, good, { sealed: (bytes) => bytes.fill(1, 6, 7) }),
    ),
    of('segment-tag-20', 'a packet with tag 20', () =>
      oneFrame(keys, good, { sealed: (bytes) => startingWith(bytes, [0xd4]) }),
    ),
    of(
      'segment-final-tag',
      'the final tag is wrong, its block digest right',
      () => oneFrame(keys, good, { sealed: (bytes) => bytes.fill(0, bytes.length - 16) }),
      'decryption',
    ),
    of(
      'segment-chunk-tag',
      'a chunk was changed, its block digest is right',
      () => oneFrame(keys, good, { sealed: (bytes) => bytes.fill(0, 50, 51) }),
      'decryption',
    ),
    of('manifest-key-twice', 'a key of the manifest stands twice', () =>
      usual(keys, { manifest: (text) => text.replace('{', '{"sequence":9,') }),
    ),
    of('manifest-key-unknown', 'an unknown key', () =>
      usual(keys, { manifest: (text) => text.replace('{', '{"x":1,') }),
    ),
    of('manifest-blanks', 'a blank in the manifest', () =>
      usual(keys, { manifest: (text) => text.replace('{', '{ ') }),
    ),
    of('manifest-version', 'another version of the format', () =>
      usual(keys, { manifest: (text) => text.replace('osflash-image/1', 'osflash-image/2') }),
    ),
  ]
}

const withExtents =
  (extents: readonly Extent[]): NonNullable<ImageSpec['index']> =>
  (index) => ({ ...index, extents })

function startingWith(bytes: Buffer, octets: readonly number[]): Buffer {
  bytes.set(octets, 0)
  return bytes
}

/** Four more bytes in the literal packet than frames. */
function lengthened(bytes: Buffer): Buffer {
  const longer = Buffer.concat([bytes, Buffer.alloc(4)])
  longer.writeUInt32BE(bytes.length + 4 - 6, 2)
  return longer
}

/** A zstd frame of raw blocks (RFC 8878, 3.1.1) with a header of one's own. */
export function handMade(
  raw: Uint8Array,
  header: { readonly descriptor: number; readonly window: number },
): Buffer {
  const size = Buffer.alloc(4)
  size.writeUInt32LE(raw.length)
  const dictionary = (header.descriptor & 3) === 0 ? [] : [1]
  const block = Buffer.alloc(3)
  block.writeUIntLE((raw.length << 3) | 1, 0, 3)
  return Buffer.concat([
    Buffer.of(0x28, 0xb5, 0x2f, 0xfd, header.descriptor, header.window, ...dictionary),
    size,
    block,
    raw,
  ])
}
