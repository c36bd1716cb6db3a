/**
 * `--set key=value`: one value of a recipe, given on the command line.
 *
 * 1. The key is a dotted path; numbers are places in a list (`customise.users.0.name`), and the
 *    number after the last one appends.
 * 2. The value is read as YAML, so `[a, b]`, `true`, `512` and `text` are what they look like.
 * 3. Mappings on the way are made; what is there and is neither mapping nor list is replaced.
 */
import { parse } from 'yaml'
import { type ErrorDetails, OsflashError } from '../../errors.ts'
import { isMapping, joinPath, type Place, type RecipeDocument } from './document.ts'

/**
 * The document with one value replaced.
 * @param folder what a relative path in the value starts from
 * @throws OsflashError `recipe` when the text is no `key=value` or the key cannot be followed
 */
export function applyAssignment(
  document: RecipeDocument,
  text: string,
  folder: string,
): RecipeDocument {
  const equals = text.indexOf('=')
  const key = text.slice(0, Math.max(0, equals))
  if (!/^[^.\s]+(\.[^.\s]+)*$/.test(key)) {
    throw wrong(text, 'not of the form key=value', { hints: ['--set customise.hostname=web1'] })
  }
  const place: Place = { text: `--set ${key}`, folder }
  const places = new Map(document.places)
  for (const known of places.keys()) if (known.startsWith(`${key}.`)) places.delete(known)
  places.set(key, place)
  const value = parseValue(text, text.slice(equals + 1))
  return { value: assign({ into: document.value, keys: key.split('.'), value, text }), places }
}

function parseValue(text: string, yaml: string): unknown {
  try {
    return parse(yaml, { maxAliasCount: 100 })
  } catch (cause) {
    throw wrong(text, 'the value is not YAML', { cause })
  }
}

interface Assignment {
  readonly into: unknown
  readonly keys: readonly string[]
  readonly value: unknown
  readonly text: string
}

function assign({ into, keys, value, text }: Assignment): unknown {
  const [key, ...rest] = keys
  if (key === undefined) return value
  // The first item of a list that is not there yet.
  if (into === undefined && key === '0') return [assign({ into, keys: rest, value, text })]
  if (Array.isArray(into)) return assignItem({ into, keys, value, text }, into)
  const mapping: Record<string, unknown> = isMapping(into) ? { ...into } : {}
  mapping[key] = assign({ into: mapping[key], keys: rest, value, text })
  return mapping
}

function assignItem({ keys, value, text }: Assignment, list: readonly unknown[]): unknown[] {
  const [key = '', ...rest] = keys
  const position = /^[0-9]{1,4}$/.test(key) ? Number(key) : Number.NaN
  if (!(position <= list.length)) {
    const where = joinPath('', keys.join('.'))
    throw wrong(text, `no item ${where} in a list of ${list.length}`)
  }
  const items = [...list]
  items[position] = assign({ into: list[position], keys: rest, value, text })
  return items
}

function wrong(text: string, why: string, details: ErrorDetails = {}): OsflashError {
  return new OsflashError('recipe', `reading --set ${text}: ${why}`, details)
}
