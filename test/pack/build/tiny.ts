/**
 * Builds of small folders: everything but packages, in about a second.
 *
 * 1. `buildTiny(folder, set)` builds the recipe in `folder` into a new scratch folder.
 * 2. Kernels are text files; nothing here is to boot.
 */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { ProgressEvent } from '../../../src/events.ts'
import { buildSource } from '../../../src/pack/build/build.ts'
import { loadRecipe } from '../../../src/pack/recipe/load.ts'
import type { ImageSource } from '../../../src/pack/source.ts'
import { run } from '../../../src/system/run.ts'

export const EPOCH = 1_700_000_000

export interface TinyBuild {
  readonly source: ImageSource
  readonly scratch: string
  readonly events: readonly ProgressEvent[]
}

export interface TinyRequest {
  /** Holds recipe.yaml. */
  readonly folder: string
  /** A new folder of this name is made in `folder`. */
  readonly into: string
  readonly set?: readonly string[]
  readonly signal?: AbortSignal
}

export async function buildTiny(request: TinyRequest): Promise<TinyBuild> {
  const scratch = join(request.folder, request.into)
  await mkdir(scratch)
  const events: ProgressEvent[] = []
  const loaded = await loadRecipe(join(request.folder, 'recipe.yaml'), { set: request.set ?? [] })
  const source = await buildSource(loaded, {
    scratch,
    emit: (event) => events.push(event),
    sourceDateEpoch: EPOCH,
    signal: request.signal,
  })
  return { source, scratch, events }
}

/** SHA-256 of every payload, by name. */
export async function payloadDigests(source: ImageSource): Promise<Record<string, string>> {
  const digests: Record<string, string> = {}
  for (const { name, path, range } of source.payloads) {
    const hash = createHash('sha256')
    const end = range.offset + range.length - 1
    await pipeline(createReadStream(path, { start: range.offset, end }), hash)
    digests[name] = hash.digest('hex')
  }
  return digests
}

/** What debugfs answers about an ext4 file system. */
export async function askExt4(path: string, request: string): Promise<string> {
  return (await run(['/sbin/debugfs', '-R', request, path])).stdout
}
