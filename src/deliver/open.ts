/**
 * Opens an image by what its name says: a path, or an http or https address.
 *
 * 1. A name with a scheme in front is an address, everything else a path; `./` in front makes
 *    any name a path.
 * 2. What reads over the network is loaded when it is needed.
 */
import { OsflashError } from '../errors.ts'
import { openFileSource } from './file.ts'
import type { Source } from './source.ts'

export interface OpenOptions {
  readonly signal?: AbortSignal
}

/** @throws OsflashError `io`, `network`, `usage`, `cancelled`; `refused` for other schemes */
export async function openSource(place: string, options: OpenOptions = {}): Promise<Source> {
  const scheme = schemeOf(place)
  if (scheme === undefined) return openFileSource(place)
  if (scheme === 'http' || scheme === 'https') {
    const { openHttpSource } = await import('./http.ts')
    return openHttpSource(place, options)
  }
  const later = scheme === 'oci' ? 'registries are not read yet' : `no way to read ${scheme}://`
  throw new OsflashError('refused', `opening ${place}: ${later}`, {
    hints: ['give an http or https address, or the path of a file'],
  })
}

/** True for an address, false for a path. */
export const isAddress = (place: string): boolean => schemeOf(place) !== undefined

const schemeOf = (place: string): string | undefined =>
  /^([a-z][a-z0-9+.-]*):\/\//i.exec(place)?.[1]?.toLowerCase()
