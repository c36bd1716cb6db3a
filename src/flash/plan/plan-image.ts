/**
 * An image as the plan sees it: opened, its signatures checked, its index read.
 *
 * 1. The manifest counts only after its signatures held.
 * 2. Indexes say how many bytes will be written; no segment is read.
 * 3. The source stays open: staging reads from it.
 * 4. What fails says which of the two images it is about.
 * 5. The plan names an address without its query: that may be a token, and the plan stays.
 */

import { isAddress, openSource } from '../../deliver/open.ts'
import type { Source } from '../../deliver/source.ts'
import { OsflashError } from '../../errors.ts'
import { type CheckSignatures, type OpenImage, openImage } from '../../unpack/image.ts'
import { loadIndex } from '../../unpack/payload.ts'
import { manifestDigest, startOf } from '../image-places.ts'
import { checkDiskImage, type ImageRole } from './check-images.ts'
import type { ImageFacts } from './plan.ts'

export interface PlanImage extends AsyncDisposable {
  readonly source: Source
  readonly image: OpenImage
  readonly facts: ImageFacts
  /** True when it comes over the network. */
  readonly isRemote: boolean
  /** To be written, and to be zeroed, in bytes. */
  readonly dataBytes: number
  readonly zeroBytes: number
}

export interface OpenPlanImage {
  readonly role: ImageRole
  /** Path or address. */
  readonly location: string
  readonly check: CheckSignatures
  readonly signal?: AbortSignal | undefined
}

/**
 * Opens an image for a plan; the caller disposes of it.
 * @throws OsflashError `refused`, `signature`, `format`, `limit`, `digest`, `io`, `network`
 */
export function openPlanImage(options: OpenPlanImage): Promise<PlanImage> {
  return namingImage(options, () => opened(options))
}

/** A plan has two images: what fails with one of them says which. An address may hold a token. */
export async function namingImage<Value>(
  { role, location }: Pick<OpenPlanImage, 'role' | 'location'>,
  work: () => Promise<Value>,
): Promise<Value> {
  try {
    return await work()
  } catch (error) {
    const what = `checking the ${role}`
    if (!(error instanceof OsflashError) || error.code === 'cancelled') throw error
    if (error.message.startsWith(what) || error.message.includes(location)) throw error
    const { code, data, hints } = error
    const place = isAddress(location) ? what : `${what} ${location}`
    throw new OsflashError(code, `${place}: ${error.message}`, { cause: error, data, hints })
  }
}

async function opened(options: OpenPlanImage): Promise<PlanImage> {
  const { role, location, check, signal } = options
  const isRemote = isAddress(location)
  const source = await openSource(location, signal === undefined ? {} : { signal })
  try {
    const image = await openImage(source, check)
    checkDiskImage(role, image.manifest)
    const sizes = await readSizes(image)
    return {
      source,
      image,
      facts: factsOf(isRemote ? source.name : location, image, sizes.dataBytes),
      isRemote,
      ...sizes,
      [Symbol.asyncDispose]: () => source[Symbol.asyncDispose](),
    }
  } catch (error) {
    await source[Symbol.asyncDispose]()
    throw error
  }
}

async function readSizes(image: OpenImage): Promise<{ dataBytes: number; zeroBytes: number }> {
  let [dataBytes, zeroBytes] = [0, 0]
  for (const entry of image.manifest.payloads) {
    const { index } = await loadIndex(image, entry)
    for (const { kind, length } of index.extents) {
      if (kind === 'data') dataBytes += length
      if (kind === 'zero') zeroBytes += length
    }
  }
  return { dataBytes, zeroBytes }
}

function factsOf(location: string, image: OpenImage, dataBytes: number): ImageFacts {
  const { manifest, source, signers } = image
  const { title, network } = manifest.os
  return {
    location,
    name: manifest.name,
    ...(title === undefined ? {} : { title }),
    sequence: manifest.sequence,
    bytes: source.bytes,
    dataBytes,
    manifestSha256: manifestDigest(image.manifestBytes),
    start: startOf(manifest),
    signers: signers.map(({ primaryFingerprint }) => primaryFingerprint).sort(),
    ...(network === undefined ? {} : { network }),
    firmware: [...manifest.firmware].sort(),
  }
}
