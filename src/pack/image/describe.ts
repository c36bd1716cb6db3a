/**
 * The manifest of an image, from its source and what packing found out.
 *
 * 1. `draftManifest` describes payloads that are not packed yet, with digests of zeros: faults of
 *    the source show before hours of packing, not after.
 * 2. `describeImage` gives the bytes to sign. They are read back with the reader's own rules.
 */

import type { Manifest, PayloadEntry } from '../../format/manifest.ts'
import { encodeManifest, parseManifest } from '../../format/manifest-bytes.ts'
import {
  indexMember,
  KEYS_MEMBER,
  MANIFEST_MEMBER,
  SIGNATURE_MEMBER,
  segmentMember,
} from '../../format/members.ts'
import type { ImageSource } from '../source.ts'
import type { MemberSource } from './assemble.ts'
import type { PackedPayload } from './payload-writer.ts'

/** How the payloads are packed and sealed. */
export interface Packing {
  readonly codec: PayloadEntry['codec']
  readonly aead: Manifest['encryption']['aead']
  readonly chunkOctet: number
}

type Described = PackedPayload['described']

const NO_DIGEST = '0'.repeat(64)

/**
 * The bytes of a manifest without segments.
 * @throws OsflashError `format` or `limit` for a source that makes no valid image
 */
export function draftManifest(source: ImageSource, packing: Packing): Uint8Array {
  const index = {
    bytes: 0,
    sha256: NO_DIGEST,
    contentBytes: 0,
    contentDigest: NO_DIGEST,
    blocksDigest: NO_DIGEST,
  }
  const described = source.payloads.map(({ range }) => ({
    rawBytes: range.length,
    index,
    segments: [],
  }))
  return describeImage(source, packing, described)
}

/** @throws OsflashError `format` or `limit` for a source that makes no valid image */
export function describeImage(
  source: ImageSource,
  packing: Packing,
  described: readonly Described[],
): Uint8Array {
  const { codec, aead, chunkOctet } = packing
  const { payloads, ...head } = source
  const manifest: Manifest = {
    format: 'osflash-image/1',
    ...head,
    firmware: [...head.firmware],
    encryption: { cipher: 'aes256', aead, chunkOctet },
    payloads: described.map((entry, i) => {
      const payload = payloads[i]
      if (payload === undefined) throw new RangeError('more payloads than the source has')
      return { name: payload.name, place: payload.place, codec, ...entry }
    }),
  }
  const bytes = encodeManifest(manifest)
  parseManifest(bytes)
  return bytes
}

/** Everything that the members of an image are made from. */
export interface ImageParts {
  readonly manifest: Uint8Array
  readonly signatures: Uint8Array
  readonly keys: Uint8Array
  readonly source: ImageSource
  /** In the order of the source. */
  readonly packed: readonly PackedPayload[]
  readonly codec: Packing['codec']
}

/** All members in their order (src/format/members.ts). */
export function listMembers(parts: ImageParts): MemberSource[] {
  const { manifest, signatures, keys, source, packed, codec } = parts
  return [
    { kind: 'bytes', name: MANIFEST_MEMBER, content: [manifest], checked: false },
    { kind: 'bytes', name: SIGNATURE_MEMBER, content: [signatures], checked: true },
    { kind: 'bytes', name: KEYS_MEMBER, content: [keys], checked: true },
    ...source.payloads.flatMap(({ name }, i) => payloadMembers(name, codec, packed[i])),
  ]
}

function payloadMembers(
  name: string,
  codec: Packing['codec'],
  packed: PackedPayload | undefined,
): MemberSource[] {
  if (packed === undefined) throw new RangeError(`payload ${name} was not packed`)
  const { index, described, places } = packed
  const segments = described.segments.map(({ bytes }, n) => ({
    kind: 'spooled' as const,
    name: segmentMember(name, n, codec),
    place: places[n] ?? 0,
    bytes,
  }))
  return [{ kind: 'bytes', name: indexMember(name), content: index, checked: false }, ...segments]
}
