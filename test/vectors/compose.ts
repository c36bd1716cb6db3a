/**
 * Composes images from their parts, right ones and wrong ones.
 *
 * 1. Frames → plaintext → sealed segment → block digests → index → manifest → signature → tar,
 *    as docs/format.md says, with the encoders of src/format and src/encrypt.
 * 2. Each step can be bent by a hook; what follows is made of the bent bytes, so that exactly one
 *    thing is wrong and everything around it is signed and sealed.
 */
import { createHash } from 'node:crypto'
import { blockRange } from '../../src/encrypt/blocks.ts'
import type { Certificate, SecretKey } from '../../src/encrypt/keys.ts'
import { encodeLiteralHeader, segmentGeometry } from '../../src/encrypt/segment-layout.ts'
import { encryptSessionKey, generateSessionKey } from '../../src/encrypt/session-key.ts'
import { signDetached } from '../../src/encrypt/signature.ts'
import { makeCompressor, packedBound } from '../../src/format/codec.ts'
import { blake3, memberChecksum } from '../../src/format/digest.ts'
import {
  type Extent,
  encodeBlocks,
  encodeContent,
  type PayloadIndex,
} from '../../src/format/index.ts'
import type { CodecName, DiskLayout, Manifest, PayloadPlace } from '../../src/format/manifest.ts'
import { segmentMember } from '../../src/format/members.ts'
import { encodeTarHeader, tarArchiveBytes } from '../../src/format/tar-header.ts'
import { sealPlaintext } from '../encrypt/whole-segment.ts'

const CHUNK_OCTET = 6

/** A frame, and what the index says of it. */
export interface FrameSpec {
  readonly raw: Uint8Array
  readonly packed: Uint8Array
  readonly rawLength?: number
}

export interface PayloadSpec {
  readonly name: string
  readonly place: PayloadPlace
  readonly rawBytes: number
  readonly extents: readonly Extent[]
  readonly segments: readonly (readonly FrameSpec[])[]
}

export interface ImageSpec {
  readonly payload: PayloadSpec
  readonly disk?: DiskLayout
  readonly codec?: CodecName
  readonly aead?: 'ocb' | 'gcm'
  readonly signers: readonly SecretKey[]
  readonly recipients: readonly Certificate[]
  readonly sessionKey?: Uint8Array
  readonly sequence?: number
  /** Bends the plaintext of a segment, header included. */
  readonly plaintext?: (bytes: Buffer, segment: number) => Buffer
  /** Bends a sealed segment before its blocks are digested. */
  readonly sealed?: (bytes: Buffer, segment: number) => Buffer
  readonly index?: (index: PayloadIndex) => PayloadIndex
  readonly content?: (bytes: Buffer) => Buffer
  /** Bends the manifest's text before it is signed. */
  readonly manifest?: (text: string) => string
}

export interface Member {
  readonly name: string
  readonly content: Uint8Array
}

/** A frame as the writer makes it. */
export function frame(raw: Uint8Array, codec: CodecName = 'zstd'): FrameSpec {
  const out = new Uint8Array(packedBound(raw.length))
  const length = makeCompressor(codec, codec === 'xz' ? 6 : 3).compress(raw, out)
  return { raw, packed: out.subarray(0, length) }
}

/** The members of an image, in order. */
export async function composeMembers(spec: ImageSpec): Promise<Member[]> {
  const { payload } = spec
  const codec = spec.codec ?? 'zstd'
  const sessionKey = spec.sessionKey ?? generateSessionKey()
  const sealed = payload.segments.map((frames, n) => sealFrames(spec, sessionKey, { frames, n }))
  const content = contentOf(spec)
  const blocks = encodeBlocks(sealed.flatMap(({ member }) => blockDigests(member)))
  const index = Buffer.concat([content, blocks])
  const manifest = manifestOf(spec, {
    index: {
      bytes: index.length,
      sha256: sha256(index),
      contentBytes: content.length,
      contentDigest: blake3(content).toString('hex'),
      blocksDigest: blake3(blocks).toString('hex'),
    },
    segments: sealed.map(({ member, plainBytes }) => ({
      bytes: member.length,
      plainBytes,
      sha256: sha256(member),
    })),
  })
  const bent = spec.manifest ?? ((text: string) => text)
  const manifestBytes = Buffer.from(bent(`${JSON.stringify(manifest)}\n`))
  return [
    { name: 'manifest.json', content: manifestBytes },
    { name: 'manifest.json.sig', content: await signDetached(manifestBytes, spec.signers) },
    { name: 'keys.pgp', content: await encryptSessionKey(sessionKey, spec.recipients) },
    { name: `payloads/${payload.name}.index`, content: index },
    ...sealed.map(({ member }, n) => ({
      name: segmentMember(payload.name, n, codec),
      content: member,
    })),
  ]
}

/** The archive of some members: headers, padding and end as the format wants them. */
export function archiveOf(members: readonly Member[]): Buffer {
  const parts = members.flatMap(({ name, content }) => {
    const checked = name === 'manifest.json.sig' || name === 'keys.pgp'
    const header = encodeTarHeader({
      name,
      bytes: content.length,
      mtime: 1_700_000_000,
      ...(checked ? { checksum: memberChecksum(content) } : {}),
    })
    return [header, content, Buffer.alloc((512 - (content.length % 512)) % 512)]
  })
  const body = Buffer.concat(parts)
  return Buffer.concat([body, Buffer.alloc(tarArchiveBytes(body.length) - body.length)])
}

export async function composeImage(spec: ImageSpec): Promise<Buffer> {
  return archiveOf(await composeMembers(spec))
}

interface SegmentSpec {
  readonly frames: readonly FrameSpec[]
  readonly n: number
}

function sealFrames(spec: ImageSpec, sessionKey: Uint8Array, { frames, n }: SegmentSpec) {
  const body = Buffer.concat(frames.map(({ packed }) => packed))
  const whole = Buffer.concat([encodeLiteralHeader(body.length), body])
  const plaintext = spec.plaintext?.(whole, n) ?? whole
  const aead = spec.aead ?? 'ocb'
  const right = Buffer.from(sealPlaintext(sessionKey, plaintext, { aead, chunkOctet: CHUNK_OCTET }))
  return { member: spec.sealed?.(right, n) ?? right, plainBytes: body.length + 12 }
}

function blockDigests(member: Buffer): Buffer[] {
  const geometry = segmentGeometry({ memberBytes: member.length, chunkOctet: CHUNK_OCTET })
  return Array.from({ length: geometry.chunkCount }, (_, chunk) => {
    const { offset, bytes } = blockRange(geometry, chunk, chunk)
    return blake3(member.subarray(offset, offset + bytes))
  })
}

function contentOf(spec: ImageSpec): Buffer {
  const { payload } = spec
  const data = payload.extents.filter(({ kind }) => kind === 'data')
  let at = data[0]?.offset ?? 0
  const frames = payload.segments.flat().map(({ raw, packed, rawLength = raw.length }) => {
    const rawOffset = at
    at += rawLength
    return { rawOffset, rawLength, packedLength: packed.length, digest: blake3(raw) }
  })
  const segmentFrames = payload.segments.map((segment) => segment.length)
  const index = { rawBytes: payload.rawBytes, extents: payload.extents, frames, segmentFrames }
  const content = encodeContent(spec.index?.(index) ?? index)
  return spec.content?.(content) ?? content
}

type Described = Pick<Manifest['payloads'][number], 'index' | 'segments'>

function manifestOf(spec: ImageSpec, described: Described): Manifest {
  const { name, place, rawBytes } = spec.payload
  return {
    format: 'osflash-image/1',
    name: 'vector',
    sequence: spec.sequence ?? 1,
    created: '2023-11-14T22:13:20Z',
    os: { family: 'linux' },
    architecture: 'x86_64',
    firmware: [],
    ...(spec.disk === undefined ? {} : { disk: spec.disk }),
    encryption: { cipher: 'aes256', aead: spec.aead ?? 'ocb', chunkOctet: CHUNK_OCTET },
    payloads: [{ name, place, rawBytes, codec: spec.codec ?? 'zstd', ...described }],
  }
}

export const sha256 = (bytes: Uint8Array): string =>
  createHash('sha256').update(bytes).digest('hex')
