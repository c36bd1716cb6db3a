/**
 * The highest sequence of each image name that a host took, carried into the target: an older
 * image is refused there as well.
 *
 * Pure. A name never goes down.
 */
import * as z from 'zod/mini'

const sequencesSchema = z.record(z.string(), z.int().check(z.minimum(0)))
export type Sequences = Readonly<Record<string, number>>

/** The highest of each name. */
export function mergeSequences(all: readonly Sequences[]): Sequences {
  const highest = new Map<string, number>()
  for (const [name, sequence] of all.flatMap((one) => Object.entries(one))) {
    highest.set(name, Math.max(sequence, highest.get(name) ?? 0))
  }
  return Object.fromEntries([...highest].sort())
}

/** What a sequences file says; nothing when it is missing or is none. */
export function parseSequences(bytes: Uint8Array | undefined): Sequences {
  if (bytes === undefined) return {}
  try {
    return sequencesSchema.parse(JSON.parse(Buffer.from(bytes).toString('utf8')))
  } catch {
    return {}
  }
}

export const sequencesBytes = (sequences: Sequences): Buffer =>
  Buffer.from(`${JSON.stringify(sequences)}\n`)
