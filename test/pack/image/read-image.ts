/**
 * Reads an image back with the open side alone: members, digests, chunks, frames, raw bytes.
 * It is slow and reads everything into memory; it shares no code with the writer.
 */
import { createHash } from 'node:crypto'
import { open, readFile } from 'node:fs/promises'
import { blake3 } from '@napi-rs/blake-hash'
import { blockRange } from '../../../src/encrypt/blocks.ts'
import type { SecretKey } from '../../../src/encrypt/keys.ts'
import {
  chunkPlace,
  parseLiteralHeader,
  parseSegmentHeader,
  segmentGeometry,
} from '../../../src/encrypt/segment-layout.ts'
import { checkFinalTag, deriveSegmentKey, openChunk } from '../../../src/encrypt/seipd.ts'
import { decryptSessionKey } from '../../../src/encrypt/session-key.ts'
import { makeDecompressor } from '../../../src/format/codec.ts'
import {
  DIGEST_BYTES,
  type PayloadIndex,
  parseBlocks,
  parseContent,
} from '../../../src/format/index.ts'
import type { Manifest } from '../../../src/format/manifest.ts'
import { parseManifest } from '../../../src/format/manifest-bytes.ts'
import { parseTarHeader, tarMemberBytes } from '../../../src/format/tar-header.ts'

export interface ReadMember {
  readonly content: Buffer
  readonly checksum: string | undefined
  readonly mtime: number
}

export interface ReadPayload {
  readonly index: PayloadIndex
  /** ZERO and UNUSED as zeros. */
  readonly raw: Buffer
}

export interface ReadImage {
  readonly manifest: Manifest
  readonly members: ReadonlyMap<string, ReadMember>
  readonly payloads: ReadonlyMap<string, ReadPayload>
}

export async function readMembers(path: string): Promise<Map<string, ReadMember>> {
  const image = await readFile(path)
  const members = new Map<string, ReadMember>()
  let at = 0
  for (;;) {
    const header = parseTarHeader(image.subarray(at, at + 512), at)
    if (header === undefined) break
    const content = image.subarray(at + 512, at + 512 + header.bytes)
    members.set(header.name, { content, checksum: header.checksum, mtime: header.mtime })
    at += tarMemberBytes(header.bytes)
  }
  if (image.subarray(at).some((byte) => byte !== 0)) throw new Error('bytes after the members')
  if (image.length % 10_240 !== 0) throw new Error('not whole records')
  return members
}

/** For images that are too large for one buffer: each member is read when it is asked for. */
export async function readMembersAt(path: string) {
  const places = new Map<string, { readonly at: number; readonly bytes: number }>()
  const readAt = async (at: number, bytes: number): Promise<Buffer> => {
    const file = await open(path, 'r')
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(bytes), 0, bytes, at)
      same(bytesRead, bytes, 'bytes read')
      return buffer
    } finally {
      await file.close()
    }
  }
  let at = 0
  for (;;) {
    const header = parseTarHeader(await readAt(at, 512), at)
    if (header === undefined) break
    places.set(header.name, { at: at + 512, bytes: header.bytes })
    at += tarMemberBytes(header.bytes)
  }
  const read = (name: string): Promise<Buffer> => {
    const place = places.get(name)
    if (place === undefined) throw new Error(`no member ${name}`)
    return readAt(place.at, place.bytes)
  }
  return { read }
}

export async function readImage(path: string, keys: readonly SecretKey[]): Promise<ReadImage> {
  const members = await readMembers(path)
  const manifest = parseManifest(contentOf(members, 'manifest.json'))
  const sessionKey = await decryptSessionKey(contentOf(members, 'keys.pgp'), keys)
  const payloads = new Map<string, ReadPayload>()
  for (const entry of manifest.payloads) {
    const bytes = contentOf(members, `payloads/${entry.name}.index`)
    same(sha256(bytes), entry.index.sha256, 'index')
    const content = bytes.subarray(0, entry.index.contentBytes)
    same(blake3(content).toString('hex'), entry.index.contentDigest, 'content part')
    const index = parseContent(content, entry.name)
    const blocks = bytes.subarray(entry.index.contentBytes)
    same(blake3(blocks).toString('hex'), entry.index.blocksDigest, 'block part')
    const plain = entry.segments.map((segment, n) => {
      const extension = entry.codec === 'zstd' ? 'zst' : 'xz'
      const name = `payloads/${entry.name}.${String(n).padStart(3, '0')}.${extension}.pgp`
      const member = contentOf(members, name)
      same(sha256(member), segment.sha256, name)
      same(member.length, segment.bytes, name)
      return openSegment(member, sessionKey)
    })
    checkPlain(entry, plain)
    const digests = plain.flatMap((segment) => segment.blocks)
    const listed = parseBlocks(blocks, digests.length, entry.name)
    for (const [i, digest] of digests.entries()) {
      const at = i * DIGEST_BYTES
      same(hex(listed.subarray(at, at + DIGEST_BYTES)), hex(digest), `block ${i}`)
    }
    const packed = Buffer.concat(plain.map((segment) => segment.body))
    payloads.set(entry.name, { index, raw: unpackFrames(index, packed, entry.codec) })
  }
  return { manifest, members, payloads }
}

export interface OpenedSegment {
  readonly body: Buffer
  readonly plainBytes: number
  readonly blocks: readonly Uint8Array[]
}

export function openSegment(member: Buffer, sessionKey: Uint8Array): OpenedSegment {
  const cipher = parseSegmentHeader(member, member.length)
  const geometry = segmentGeometry({ memberBytes: member.length, chunkOctet: cipher.chunkOctet })
  const key = deriveSegmentKey(sessionKey, cipher)
  const plain = Buffer.alloc(geometry.plaintextBytes)
  const blocks: Uint8Array[] = []
  for (let index = 0; index < geometry.chunkCount; index += 1) {
    const place = chunkPlace(geometry, index)
    const input = member.subarray(place.sealedOffset, place.sealedOffset + place.sealedBytes)
    openChunk(key, { index, input, out: plain.subarray(place.plainOffset) })
    const { offset, bytes } = blockRange(geometry, index, index)
    blocks.push(blake3(member.subarray(offset, offset + bytes)))
  }
  const totals = { chunkCount: geometry.chunkCount, plaintextBytes: geometry.plaintextBytes }
  checkFinalTag(key, totals, member.subarray(-16))
  const bodyBytes = parseLiteralHeader(plain, plain.length)
  return { body: plain.subarray(plain.length - bodyBytes), plainBytes: plain.length, blocks }
}

function checkPlain(entry: Manifest['payloads'][number], plain: readonly OpenedSegment[]): void {
  for (const [n, segment] of entry.segments.entries()) {
    same(plain[n]?.plainBytes, segment.plainBytes, `plaintext of segment ${n}`)
  }
}

function unpackFrames(index: PayloadIndex, packed: Buffer, codec: 'zstd' | 'xz'): Buffer {
  const raw = Buffer.alloc(index.rawBytes)
  const decompressor = makeDecompressor(codec)
  let at = 0
  for (const frame of index.frames) {
    const out = raw.subarray(frame.rawOffset, frame.rawOffset + frame.rawLength)
    decompressor.decompress(packed.subarray(at, at + frame.packedLength), out)
    same(hex(blake3(out)), hex(frame.digest), `frame at ${frame.rawOffset}`)
    at += frame.packedLength
  }
  same(at, packed.length, 'packed bytes')
  return raw
}

function contentOf(members: ReadonlyMap<string, ReadMember>, name: string): Buffer {
  const member = members.get(name)
  if (member === undefined) throw new Error(`no member ${name}`)
  return member.content
}

function same(seen: unknown, expected: unknown, what: string): void {
  if (seen !== expected) throw new Error(`${what}: ${String(seen)}, not ${String(expected)}`)
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
