/**
 * Which members an image has, in which order, and where each begins.
 *
 * 1. `manifest.json`, `manifest.json.sig`, `keys.pgp`, then for each payload its index and its
 *    segments, numbered from 000.
 * 2. Sizes of the first three are read from their headers; all others follow from the manifest,
 *    so that a reader can ask for any range at once.
 */
import type { Manifest } from './manifest.ts'
import { TAR_BLOCK_BYTES } from './tar-block.ts'
import { tarArchiveBytes, tarMemberBytes } from './tar-header.ts'

export const MANIFEST_MEMBER = 'manifest.json'
export const SIGNATURE_MEMBER = 'manifest.json.sig'
export const KEYS_MEMBER = 'keys.pgp'

export const indexMember = (payload: string): string => `payloads/${payload}.index`

export function segmentMember(payload: string, segment: number, codec: 'zstd' | 'xz'): string {
  const extension = codec === 'zstd' ? 'zst' : 'xz'
  return `payloads/${payload}.${String(segment).padStart(3, '0')}.${extension}.pgp`
}

/** One member and the place of its content in the image. */
export interface PlacedMember {
  readonly name: string
  readonly bytes: number
  /** Where the header begins; the content follows 512 bytes later. */
  readonly headerOffset: number
  readonly contentOffset: number
}

/** The members that the manifest describes, from the end of `keys.pgp` on. */
export function placeMembers(manifest: Manifest, firstHeaderOffset: number): PlacedMember[] {
  const placed: PlacedMember[] = []
  let headerOffset = firstHeaderOffset
  for (const { name, bytes } of describedMembers(manifest)) {
    placed.push({ name, bytes, headerOffset, contentOffset: headerOffset + TAR_BLOCK_BYTES })
    headerOffset += tarMemberBytes(bytes)
  }
  return placed
}

/** Size of an image whose last member ends, padding included, at `end`. */
export function imageBytes(members: readonly PlacedMember[], firstHeaderOffset: number): number {
  const last = members.at(-1)
  const end =
    last === undefined ? firstHeaderOffset : last.headerOffset + tarMemberBytes(last.bytes)
  return tarArchiveBytes(end)
}

function* describedMembers(manifest: Manifest): Generator<{ name: string; bytes: number }> {
  for (const payload of manifest.payloads) {
    yield { name: indexMember(payload.name), bytes: payload.index.bytes }
    for (const [i, segment] of payload.segments.entries()) {
      yield { name: segmentMember(payload.name, i, payload.codec), bytes: segment.bytes }
    }
  }
}
