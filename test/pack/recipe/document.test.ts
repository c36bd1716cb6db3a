import fc from 'fast-check'
import { expect, test } from 'vitest'
import { applyAssignment } from '../../../src/pack/recipe/assignment.ts'
import {
  isMapping,
  mergeDocuments,
  parseRecipeText,
  placeOf,
  type RecipeDocument,
} from '../../../src/pack/recipe/document.ts'

const parsed = (text: string, name = 'a.yaml'): RecipeDocument =>
  parseRecipeText(text, { name, folder: `/${name}` })
const plain = (value: unknown): RecipeDocument => ({ value, places: new Map() })

test('every value has the place of its key', () => {
  const document = parsed('a: 1\nb:\n  c: [x, {d: 2}]\n')
  const places = ['a', 'b', 'b.c', 'b.c.0', 'b.c.1', 'b.c.1.d'].map(
    (path) => placeOf(document, path)?.text,
  )
  expect(places).toEqual([
    'a.yaml:1:1',
    'a.yaml:2:1',
    'a.yaml:3:3',
    'a.yaml:3:7',
    'a.yaml:3:10',
    'a.yaml:3:11',
  ])
})

test('what has no place has that of the nearest thing above it', () => {
  const document = parsed('b:\n  c: 1\n')
  expect(placeOf(document, 'b.c.d.e')?.text).toBe('a.yaml:2:3')
  expect(placeOf(document, 'nothing')?.text).toBe('a.yaml:1:1')
})

test('merging keeps the places of both sides, and drops those of what was replaced', () => {
  const base = parsed('a: {x: 1, y: 2}\nb: [1, 2, 3]\n', 'base.yaml')
  const over = parsed('a: {y: 3}\nb: [4]\n', 'over.yaml')
  const merged = mergeDocuments(base, over)
  expect(merged.value).toEqual({ a: { x: 1, y: 3 }, b: [4] })
  expect(placeOf(merged, 'a.x')).toEqual({ text: 'base.yaml:1:5', folder: '/base.yaml' })
  expect(placeOf(merged, 'a.y')).toEqual({ text: 'over.yaml:1:5', folder: '/over.yaml' })
  expect(placeOf(merged, 'b.2')?.text).toBe('over.yaml:2:1')
})

const leaf = fc.oneof(fc.integer(), fc.string(), fc.boolean(), fc.array(fc.integer()))
const key = fc.stringMatching(/^[a-z]{1,3}$/)
const mapping = fc.dictionary(key, fc.oneof(leaf, fc.dictionary(key, leaf)))

/** A key is a mapping in all of them or in none: a list between two mappings ends the first. */
const alike = fc
  .tuple(
    fc.dictionary(fc.stringMatching(/^[a-m]{1,3}$/), leaf),
    fc.dictionary(fc.stringMatching(/^[n-z]{1,3}$/), fc.dictionary(key, leaf)),
  )
  .map(([leaves, mappings]): Record<string, unknown> => ({ ...leaves, ...mappings }))

test('merging with nothing changes nothing, and merging is associative', () => {
  fc.assert(
    fc.property(alike, alike, alike, (a, b, c) => {
      const merge = (base: unknown, over: unknown) => mergeDocuments(plain(base), plain(over)).value
      expect(merge(a, {})).toEqual(a)
      expect(merge({}, a)).toEqual(a)
      expect(merge(a, a)).toEqual(a)
      expect(merge(merge(a, b), c)).toEqual(merge(a, merge(b, c)))
    }),
  )
})

test('an assignment sets its key and leaves the others', () => {
  fc.assert(
    fc.property(mapping, key, fc.integer(), (value, name, number) => {
      fc.pre(!Array.isArray(new Map(Object.entries(value)).get(name)))
      const after = applyAssignment(plain(value), `${name}.inner=${number}`, '/').value
      const before: Readonly<Record<string, unknown>> = value
      const inner = isMapping(before[name]) ? before[name] : {}
      expect(after).toEqual({ ...value, [name]: { ...inner, inner: number } })
    }),
  )
})

test('an assignment does not change the document that it was given', () => {
  const document = parsed('a: {b: [1, 2]}\n')
  const after = applyAssignment(document, 'a.b.0=9', '/')
  expect(document.value).toEqual({ a: { b: [1, 2] } })
  expect(after.value).toEqual({ a: { b: [9, 2] } })
  expect(placeOf(after, 'a.b.0')?.text).toBe('--set a.b.0')
  expect(placeOf(after, 'a.b.1')?.text).toBe('a.yaml:1:12')
})

test.each([
  ['a=1', { a: 1 }],
  ['a=', { a: null }],
  ['a==', { a: '=' }],
  ['a="x=y"', { a: 'x=y' }],
  ['a=[1, b]', { a: [1, 'b'] }],
  ['a.0=x', { a: ['x'] }],
  ['a.0.b=x', { a: [{ b: 'x' }] }],
  ['a.b.c=true', { a: { b: { c: true } } }],
])('%s gives %j', (text, value) => {
  expect(applyAssignment(plain({}), text, '/').value).toEqual(value)
})

test.each(['', '=1', 'a', '.a=1', 'a..b=1', 'a b=1', 'a=[1', 'a=*x'])('%o is refused', (text) => {
  expect(() => applyAssignment(plain({}), text, '/')).toThrow(/^reading --set /)
})

test.each([
  ['a: 1\n---\nb: 2\n', 1],
  ['a: "\\q"\n', 1],
  ['\ta: 1\n', 1],
])('%o is refused with a place', (text, line) => {
  expect(() => parsed(text)).toThrow(new RegExp(`^reading a.yaml:[${line}-9]:[0-9]+: `))
})

test('an alias that holds itself is refused', () => {
  expect(() => parsed('a: &x [*x]\n')).toThrow('reading a.yaml: more than 32 levels deep')
})

test('aliases that grow without end are refused', () => {
  const levels = [...'bcdefghij'].map((name, i) => {
    const alias = `*${String.fromCharCode(97 + i)}`
    return `${name}: &${name} [${Array.from({ length: 9 }, () => alias).join(', ')}]`
  })
  expect(() => parsed(`a: &a [x]\n${levels.join('\n')}\n`)).toThrow(/alias/)
})
