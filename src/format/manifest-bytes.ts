/**
 * The bytes of `manifest.json`.
 *
 * 1. They are canonical: exactly what `JSON.stringify` gives, and a line feed. So there is one
 *    spelling, and duplicate keys, odd numbers and white space cannot hide anything.
 * 2. `parseManifest` takes the bytes whose signature held, and no others: size, UTF-8, depth,
 *    canonical form, schema, rules, in this order.
 */
import type { core } from 'zod/mini'
import en from 'zod/v4/locales/en.js'
import { OsflashError } from '../errors.ts'
import { enforce } from './limits.ts'
import { type Manifest, manifestSchema } from './manifest.ts'
import { checkManifest } from './manifest-rules.ts'

/** zod/mini brings no words of its own. */
const ENGLISH = { error: en().localeError }

/** The canonical bytes of a manifest. */
export function encodeManifest(manifest: Manifest): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(manifest)}\n`)
}

/**
 * Parses the exact bytes that a signature covered.
 * @throws OsflashError `limit` or `format`, with the path of the field
 */
export function parseManifest(bytes: Uint8Array): Manifest {
  enforce('manifestBytes', bytes.length, 'manifest.json')
  const source = decodeUtf8(bytes)
  enforce('manifestDepth', nestingDepth(source), 'manifest.json')
  const value = parseCanonicalJson(source)
  const result = manifestSchema.safeParse(value, ENGLISH)
  if (!result.success) throw malformed(describeIssue(result.error))
  checkManifest(result.data)
  return result.data
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (cause) {
    throw malformed('is not UTF-8', cause)
  }
}

function parseCanonicalJson(source: string): unknown {
  let value: unknown
  try {
    value = JSON.parse(source)
  } catch (cause) {
    throw malformed('is not JSON', cause)
  }
  if (`${JSON.stringify(value)}\n` !== source) throw malformed('is not canonical JSON')
  return value
}

/** Deepest nesting of brackets outside strings: bounds the recursion of what parses next. */
function nestingDepth(source: string): number {
  let depth = 0
  let deepest = 0
  let inString = false
  for (let i = 0; i < source.length; i += 1) {
    const c = source.charCodeAt(i)
    if (inString) {
      if (c === 0x5c) i += 1
      else if (c === 0x22) inString = false
    } else if (c === 0x22) inString = true
    else if (c === 0x5b || c === 0x7b) deepest = Math.max(deepest, ++depth)
    else if (c === 0x5d || c === 0x7d) depth -= 1
  }
  return deepest
}

function describeIssue(error: core.$ZodError): string {
  const first = error.issues[0]
  if (first === undefined) return 'does not fit the schema'
  return `${first.path.join('.') || 'top level'}: ${first.message}`
}

function malformed(why: string, cause?: unknown): OsflashError {
  return new OsflashError('format', `reading manifest.json: ${why}`, { cause })
}
