/**
 * Describes an image without any key: what it says of itself, and what its parts weigh.
 *
 * 1. Nothing is verified but structure and index digests; whoever needs trust runs `verify`.
 * 2. The description is plain data; rendering is the command line's.
 */
import type { Source } from '../deliver/source.ts'
import type { Recipient } from '../encrypt/recipient.ts'
import { listRecipients } from '../encrypt/session-key.ts'
import { describeSignatures } from '../encrypt/signature.ts'
import type { ExtentKind, PayloadIndex } from '../format/index.ts'
import type { Manifest, PayloadEntry } from '../format/manifest.ts'
import { openImage } from './image.ts'
import { loadIndex } from './payload.ts'

/** Sizes of one payload, in bytes where nothing else is said. */
export interface PayloadDescription {
  readonly name: string
  readonly kind: 'region' | 'tree'
  readonly codec: string
  readonly rawBytes: number
  readonly dataBytes: number
  readonly zeroBytes: number
  readonly unusedBytes: number
  readonly packedBytes: number
  /** Data bytes for each packed byte. */
  readonly ratio: number
  readonly frames: number
  readonly segments: number
  /** BLAKE3 of the content part: equal for equal plaintext. */
  readonly indexDigest: string
}

export interface ImageDescription {
  readonly path: string
  readonly imageBytes: number
  readonly manifest: Omit<Manifest, 'payloads'>
  readonly payloads: readonly PayloadDescription[]
  readonly recipients: readonly { readonly name: string | null; readonly version: number }[]
  /** Who claims to have signed; `verify` says who did. */
  readonly signers: readonly { readonly issuer: string | null; readonly created: string | null }[]
}

/** @throws OsflashError `format`, `limit`, `digest`, `io` */
export async function describeImage(source: Source): Promise<ImageDescription> {
  const image = await openImage(source, undefined)
  const payloads: PayloadDescription[] = []
  for (const entry of image.manifest.payloads) {
    const { index } = await loadIndex(image, entry)
    payloads.push(describePayload(entry, index))
  }
  const { payloads: _, ...manifest } = image.manifest
  const claims = await describeSignatures(image.signatureBytes)
  return {
    path: source.name,
    imageBytes: source.bytes,
    manifest,
    payloads,
    recipients: listRecipients(image.keysBytes).map(describeRecipient),
    signers: claims.map(({ issuer, created }) => ({
      issuer: issuer ?? null,
      created: created?.toISOString().replace('.000Z', 'Z') ?? null,
    })),
  }
}

function describeRecipient(recipient: Recipient): { name: string | null; version: number } {
  return { name: recipient.name ?? null, version: recipient.version }
}

function describePayload(entry: PayloadEntry, index: PayloadIndex): PayloadDescription {
  const bytesOf = (kind: ExtentKind): number =>
    index.extents.reduce((sum, extent) => sum + (extent.kind === kind ? extent.length : 0), 0)
  const packedBytes = entry.segments.reduce((sum, segment) => sum + segment.bytes, 0)
  const dataBytes = bytesOf('data')
  return {
    name: entry.name,
    kind: entry.place.kind,
    codec: entry.codec,
    rawBytes: entry.rawBytes,
    dataBytes,
    zeroBytes: bytesOf('zero'),
    unusedBytes: bytesOf('unused'),
    packedBytes,
    ratio: packedBytes === 0 ? 0 : dataBytes / packedBytes,
    frames: index.frames.length,
    segments: entry.segments.length,
    indexDigest: entry.index.contentDigest,
  }
}
