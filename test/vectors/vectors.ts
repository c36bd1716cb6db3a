/** The list of vectors, as `vectors.json` has it. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'

export const vectorFolder = import.meta.dirname

const vector = z.strictObject({
  name: z.string(),
  expect: z.enum(['ok', 'signature', 'digest', 'format', 'decryption', 'io']),
  why: z.string(),
  /** SHA-256 of the payload's raw bytes, unused ranges as zeros. */
  rawSha256: z.string().optional(),
})

export type Vector = Omit<z.infer<typeof vector>, 'expect'> & { readonly expect: string }

export function readVectors(): readonly Vector[] {
  const text = readFileSync(join(vectorFolder, 'vectors.json'), 'utf8')
  return z.array(vector).parse(JSON.parse(text))
}

export const vectorPath = (name: string): string => join(vectorFolder, `${name}.osimg`)
export const vectorKey = (name: string): string => join(vectorFolder, 'keys', name)
